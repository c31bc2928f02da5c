//! `BoundMemo`: a cached method of one object.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::ffi::{Args, Slot, Vectorcall};
use crate::memo::Memo;

// No docstring: `__doc__` is that of the method.
#[pyclass(module = "penstock", frozen, weakref)]
pub struct BoundMemo {
    slot: Slot,
    #[pyo3(get, name = "__func__")]
    func: Py<Memo>,
    #[pyo3(get, name = "__self__")]
    instance: Py<PyAny>,
}

impl Vectorcall for BoundMemo {
    fn vectorcall<'py>(
        this: Borrowed<'_, 'py, Self>,
        args: Args<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bound = this.get();
        let func = bound.func.bind_borrowed(this.py());
        args.prepend(bound.instance.bind(this.py()), |args| {
            Memo::vectorcall(func, args)
        })
    }
}

impl BoundMemo {
    pub fn new(func: Bound<'_, Memo>, instance: Bound<'_, PyAny>) -> Self {
        Self {
            slot: Slot::of::<Self>(),
            func: func.unbind(),
            instance: instance.unbind(),
        }
    }

    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Calls a method of the function with the object in front of the arguments.
    fn forward<'py>(
        &self,
        name: &str,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let method = self.func.bind(args.py()).getattr(name)?;
        Args::pack(args, kwargs, |args| {
            args.prepend(self.instance.bind(args.py()), |args| args.call(&method))
        })
    }
}

#[pymethods]
impl BoundMemo {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Args::pack(args, kwargs, |args| {
            Self::vectorcall(slf.as_borrowed(), args)
        })
    }

    /// Remove the result of this call on this object, and keep a load in progress from storing it.
    #[pyo3(signature = (*args, **kwargs))]
    fn invalidate<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.forward("invalidate", args, kwargs)
    }

    /// Call the method on this object again, and store what it returns.
    #[pyo3(signature = (*args, **kwargs))]
    fn refresh<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.forward("refresh", args, kwargs)
    }

    /// Return the key under which the result for these arguments is kept.
    #[pyo3(signature = (*args, **kwargs))]
    fn make_key<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.forward("make_key", args, kwargs)
    }

    #[getter]
    fn __module__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.func.bind(py).getattr("__module__")
    }

    #[getter]
    fn __doc__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.func.bind(py).getattr("__doc__")
    }

    /// The method itself, bound to the same object.
    #[getter]
    fn __wrapped__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let func = self.func.bind(py).getattr("__wrapped__")?;
        func.call_method1("__get__", (&self.instance,))
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.func.bind(py).getattr(name)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        let other = other.cast::<Self>().map(Bound::get);
        other.is_ok_and(|other| other.func.is(&self.func) && other.instance.is(&self.instance))
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        let instance = py
            .import("builtins")?
            .call_method1("id", (&self.instance,))?;
        Ok(self.func.bind(py).as_any().hash()? ^ instance.hash()?)
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// A copy is bound to a copy of the object, as that of any method.
    fn __deepcopy__(&self, memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = memo.py();
        let deepcopy = py.import("copy")?.getattr("deepcopy")?;
        let instance = deepcopy.call1((&self.instance, memo))?;
        Ok(Self::new(self.func.bind(py).clone(), instance))
    }

    /// Pickles as the attribute that it is.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let name = self.func.bind(py).getattr("__name__")?;
        let getattr = py.import("builtins")?.getattr("getattr")?;
        let args = PyTuple::new(py, [self.instance.bind(py), &name])?;
        PyTuple::new(py, [getattr, args.into_any()])
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<bound {} of {}>",
            self.func.bind(py).repr()?,
            self.instance.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.func)?;
        visit.call(&self.instance)
    }
}
