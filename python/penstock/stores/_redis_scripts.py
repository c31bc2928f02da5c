"""What a Redis server does for the store in one step: scripts in Lua, called by their digests."""

from __future__ import annotations

from hashlib import sha1
from typing import TYPE_CHECKING, Final

from penstock.stores._redis_wire import pack_command

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["INVALIDATE", "LEASE", "RELEASE", "SCRIPTS", "TICK", "WRITE", "Script"]


class Script:
    """
    A script.

    Args:
        text: In Lua. What ends in ``_key`` or comes from KEYS is all that it touches.
    """

    __slots__ = ("_digest", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> bytes:
        """Return the command that runs it; the server knows it already."""
        return pack_command(("EVALSHA", self._digest, len(keys), *keys, *args))

    def call_unknown(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> bytes:
        """Return the command that runs it where the server has forgotten it."""
        return pack_command(("EVAL", self._text, len(keys), *keys, *args))

    def load(self) -> bytes:
        """Return the command that makes it known."""
        return pack_command(("SCRIPT", "LOAD", self._text))


# The state of a store is one string: its clock; the tick at which the patterns changed last, 0 for
# no patterns; the floor: records that are older are not valid; the ticks at which the two hashes
# of tags were begun, the older 0 if there is none; and what _EVICTED says. Where it is gone, who
# knows what else is: the floor is now. Microseconds fit a double until the year 2255.
#
# What is somebody else's is not removed: HLEN before DEL is an error where there is no hash.
_CLOCK: Final = """\
local state_key, rules_key, tags_key, old_key, trace_key = unpack(KEYS, 1, 5)
local function text_of(number) return string.format('%.0f', number) end
local function time()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
local function read()
  local text = redis.call('GET', state_key)
  if not text then return nil end
  local clock, rules, floor, tags, old, rest =
    string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)(.*)$')
  if not clock then return nil end
  return {clock = tonumber(clock), rules = tonumber(rules), floor = tonumber(floor),
    tags = tonumber(tags), old = tonumber(old), rest = rest}
end
local function keep(s)
  local text = string.format('%.0f %.0f %.0f %.0f %.0f%s',
    s.clock, s.rules, s.floor, s.tags, s.old, s.rest)
  redis.call('SET', state_key, text)
  return text
end
local function anew(now)
  for i = 2, 5 do redis.call('HLEN', KEYS[i]) end
  redis.call('DEL', rules_key, tags_key, old_key, trace_key)
  redis.call('HSET', tags_key, '#', text_of(now))
  return {clock = now, rules = 0, floor = now, tags = now, old = 0, rest = ''}
end
local function tick(now)
  local s = read()
  if not s then return anew(now) end
  s.clock = math.max(s.clock + 1, now)
  return s
end
local function tell(channel, head, version, tail)
  if tail ~= '' then redis.call('PUBLISH', channel, head .. text_of(version) .. ' ' .. tail) end
end
"""

# Where memory is short Redis drops what ends first: tombstones. That nothing was written under a
# key which is not there can be told as long as nothing was evicted: the state ends in how many keys
# were, and the tick since when. Once there are more, the tick of the last write is kept for each of
# 4,096 groups of keys, in a hash that never ends and thus stays; of its fields # is when it was
# begun, @ how many were evicted at the last look that found more, and ! when that was. Ten minutes
# without any, and it goes.
_EVICTED: Final = """\
  local quiet, since = 600000000, nil
  local function group_of(key) return string.sub(redis.sha1hex(key), 1, 3) end
  local function change(count, tick, traced)
    since = tick
    s.rest = ' ' .. count .. ' ' .. text_of(tick) .. traced
    keep(s)
  end
  local function look()
    -- Who may not ask for the number has to take it that it grows.
    local info = redis.pcall('INFO', 'stats')
    local count = type(info) == 'string' and string.match(info, 'evicted_keys:(%d+)') or '?'
    local known, from = string.match(s.rest, '^ (%S+) (%d+)')
    since = tonumber(from or 0)
    if is_traced(s) then
      local there = redis.call('HMGET', trace_key, '#', '@', '!')
      if there[1] == from then
        if there[2] ~= count or count == '?' then
          redis.call('HSET', trace_key, '@', count, '!', text_of(s.clock))
        elseif now - there[3] > quiet then
          redis.call('DEL', trace_key)
          change(count, tonumber(there[3]), ' 0')
        end
        return
      end
    elseif count == (known or '0') then
      return
    end
    local tick = text_of(s.clock)
    redis.call('HLEN', trace_key)
    redis.call('DEL', trace_key)
    redis.call('HSET', trace_key, '#', tick, '@', count, '!', tick)
    change(count, s.clock, ' 1')
  end
  function last_under(key)
    if not since then look() end
    local last = is_traced(s) and redis.call('HGET', trace_key, group_of(key))
    return math.max(since, tonumber(last or 0))
  end
  function trace()
    local fields, version = {}, text_of(s.clock)
    for i = 6, #KEYS do
      fields[#fields + 1] = group_of(KEYS[i])
      fields[#fields + 1] = version
    end
    redis.call('HSET', trace_key, unpack(fields))
  end
"""

#: KEYS: the five. ARGV: "" to make the state if it is not there; "touch" to let the clock go on
#: where nobody has written for so many microseconds; "forget" if tags or patterns are missing:
#: nobody knows which.
TICK: Final = Script(
    _CLOCK
    + """\
local now = time()
local s = read()
if s and (ARGV[1] == '' or (ARGV[1] == 'touch' and now - s.clock < tonumber(ARGV[2]))) then
  return keep(s)
end
s = tick(now)
if ARGV[1] == 'forget' then s = anew(s.clock) end
return keep(s)
"""
)

#: KEYS: the five, entries. ARGV: how (set, delete, fill, replay), and what that needs: the moment
#: after which a set is not wanted any more; the base of a fill, and how old it may be; the earliest
#: and the latest version that what is replayed may have had. Then channel, head and tail of the
#: message; a tombstone and its life; value and life of each. Lives are in milliseconds, 0 for ever.
WRITE: Final = Script(
    _CLOCK
    + """\
local how, number, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = time()
local version, floor, s = number, 0, nil
local wins = how == 'set' or how == 'delete'
if wins then
  -- Who asked for it was told that it failed, and may have written something else since.
  if how == 'set' and now > number then return redis.error_reply('LATE it came too late') end
  s = tick(now)
  keep(s)
  version = s.clock
elseif how == 'fill' then
  s = read()
  -- A base that is ahead of the clock is that of another server, or of before this was emptied.
  if not s or version < s.floor or version > s.clock or now - version > limit then
    return {0, false}
  end
else
  -- Where the server's time was set back, nobody can tell by it when something was.
  local before = read()
  local is_back = before and before.clock > now
  s = tick(now)
  keep(s)
  floor, version, limit = s.floor, math.min(version, s.clock), math.min(limit, s.clock)
  if is_back then version, limit = 0, s.clock end
  if limit < floor then return {0, false} end
end
local call, sub = redis.call, string.sub
local stamp = struct.pack('>I8', version)
local function put(key, value, life, stamp)
  local stamped = sub(value, 1, 4) .. stamp .. sub(value, 13)
  if life == '0' then call('SET', key, stamped) else call('SET', key, stamped, 'PX', life) end
end
-- A function costs time: most sets need none of these.
local function is_traced(s) return sub(s.rest, -2) == ' 1' end
local last_under, trace, found
if not wins or is_traced(s) then
"""
    + _EVICTED
    + """\
  function found(key)
    local head = redis.pcall('GETRANGE', key, 0, 11)
    if type(head) == 'string' and #head == 12 and sub(head, 1, 2) == 'P\\1' then
      local there = struct.unpack('>I8', head, 5)
      -- What is ahead of the clock is of one that was lost.
      if there <= s.clock then return there end
    end
    return last_under(key)
  end
end
local done = {}
for i = 6, #KEYS do
  local at = 2 * i - 3
  if wins then
    put(KEYS[i], ARGV[at], ARGV[at + 1], stamp)
  else
    local there = found(KEYS[i])
    done[i - 5] = '0'
    if there <= version and version >= floor then
      put(KEYS[i], ARGV[at], ARGV[at + 1], stamp)
      done[i - 5] = '1'
    elseif how == 'replay' and there <= limit then
      -- Nobody knows which of the two is newer.
      put(KEYS[i], ARGV[7], ARGV[8], struct.pack('>I8', limit))
    end
  end
end
if how ~= 'fill' and is_traced(s) then trace() end
tell(ARGV[4], ARGV[5], version, ARGV[6])
return {version, table.concat(done)}
"""
)

#: KEYS: the five, keys that are touched so that who tracks them is told. ARGV: the version of what
#: is replayed, -1 for now; how many patterns there may be, and how many tags; channel; head and
#: tail of the message of the tags, of that of the patterns; how many tags; tags; patterns.
INVALIDATE: Final = Script(
    _CLOCK
    + """\
local replayed, most, most_tags = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local last_tag = 9 + ARGV[9]
local now = time()
local before = read()
local is_back = before and before.clock > now
local s = tick(now)
-- Evicted. Nobody knows what was in it, and soon nobody could tell that it was.
if s.rules > 0 and redis.call('EXISTS', rules_key) == 0 then s = anew(s.clock) end
local version = s.clock
if replayed >= 0 and not is_back then version = math.min(replayed, version) end
local function raise(key, field)
  if tonumber(redis.call('HGET', key, field) or 0) >= version then return false end
  redis.call('HSET', key, field, text_of(version))
  return true
end
for i = 10, last_tag do raise(tags_key, '=' .. ARGV[i]) end
for i = last_tag + 1, #ARGV do
  if ARGV[i] ~= '*' then
    if raise(rules_key, ARGV[i]) then s.rules = s.clock end
  else
    s.floor = math.max(s.floor, version)
    if replayed < 0 then
      redis.call('HLEN', rules_key)
      redis.call('DEL', rules_key)
      s.rules = 0
    end
  end
end
if redis.call('HLEN', tags_key) > most_tags then
  -- The tags before the last ones are forgotten: what has any, and is older, is not valid.
  redis.call('HLEN', old_key)
  redis.call('DEL', old_key)
  redis.call('RENAME', tags_key, old_key)
  redis.call('HSET', tags_key, '#', text_of(s.clock))
  s.tags, s.old = s.clock, s.tags
end
if s.rules == s.clock and redis.call('HLEN', rules_key) > most then
  -- The older half becomes one for all keys.
  local all = redis.call('HGETALL', rules_key)
  local versions = {}
  for i = 2, #all, 2 do versions[i / 2] = tonumber(all[i]) end
  table.sort(versions)
  s.floor = math.max(s.floor, versions[math.ceil(#versions / 2)])
  for i = 2, #all, 2 do
    if tonumber(all[i]) <= s.floor then redis.call('HDEL', rules_key, all[i - 1]) end
  end
  if redis.call('EXISTS', rules_key) == 0 then s.rules = 0 end
end
keep(s)
for i = 6, #KEYS do
  redis.call('SET', KEYS[i], '')
  redis.call('DEL', KEYS[i])
end
tell(ARGV[4], ARGV[5], version, ARGV[6])
tell(ARGV[4], ARGV[7], version, ARGV[8])
return version
"""
)

#: KEYS: the five, lease. ARGV: milliseconds; whether who is refused waits for the release.
LEASE: Final = Script(
    _CLOCK
    + """\
local there = redis.call('GET', KEYS[6])
if there then
  if not string.match(there, '^%d+w?$') then return redis.error_reply('WRONGTYPE no lease') end
  if ARGV[2] == '1' and string.sub(there, -1) ~= 'w' then
    redis.call('SET', KEYS[6], there .. 'w', 'KEEPTTL')
  end
  return {0, redis.call('PTTL', KEYS[6])}
end
local s = tick(time())
keep(s)
redis.call('SET', KEYS[6], text_of(s.clock), 'PX', ARGV[1])
return {s.clock, 0}
"""
)

#: KEYS: lease. ARGV: token, channel, key.
RELEASE: Final = Script(
    """\
local there = redis.call('GET', KEYS[1])
if not there then return 0 end
local token, waited = string.match(there, '^(%d+)(w?)$')
if token ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if waited == 'w' then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return 1
"""
)

SCRIPTS: Final = (TICK, WRITE, INVALIDATE, LEASE, RELEASE)
