//! `Ordered` against a vector.

use penstock_core::Ordered;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Remove(u8),
    ExtractEven,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u8..40).prop_map(Step::Insert),
        4 => (0u8..40).prop_map(Step::Remove),
        1 => Just(Step::ExtractEven),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Few hash values: entries are told apart by comparison.
    #[test]
    fn it_is_a_vector_that_is_searched_quickly(steps in steps()) {
        let hash = |key: u8| u64::from(key % 5) << 60 | u64::from(key % 3);
        let mut table = Ordered::default();
        let mut model: Vec<u8> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(key) => {
                    let known = table.find(hash(key), |entry| *entry == key).copied();
                    prop_assert_eq!(known, model.contains(&key).then_some(key));
                    if known.is_none() {
                        prop_assert!(table.insert(hash(key), key).is_ok());
                        model.push(key);
                    }
                }
                Step::Remove(key) => {
                    let gone = table.remove(hash(key), |entry| *entry == key);
                    prop_assert_eq!(gone, model.contains(&key).then_some(key));
                    model.retain(|own| *own != key);
                }
                Step::ExtractEven => {
                    let gone = table.extract(|entry| entry % 2 == 0);
                    let expected: Vec<u8> = model.iter().copied().filter(|key| key % 2 == 0).collect();
                    prop_assert_eq!(gone, expected);
                    model.retain(|key| key % 2 == 1);
                }
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.is_empty(), model.is_empty());
            let listed: Vec<u8> = table.iter().copied().collect();
            prop_assert_eq!(listed, model.clone());
        }
    }
}
