-- The counter, server side. server.rs is the same in Rust; mod.rs tells the layout and the promises.
-- KEYS: counter.   ARGV: op, then a slot's id or what the op takes.
-- ADD, RETIRE and FOLD take P, N, a mark, and P and N as they were acknowledged to the owner.
-- A slot is P, N, the mark of its last raise and that raise's moment: 20, 20, 20 and 16 digits. A retired one
-- has 'r' and the id that was retired next behind them. Of what its owner has folded the id is left, behind
-- a comma, in one of 256 bins, the oldest first. Sums are decimal text of any length, added in limbs.
local op, id, key = ARGV[1], ARGV[2], KEYS[1]
local REPLAY, SHARED = string.rep('0', 20), '18446744073709551615'
local LIMIT, PEERS, FIELDS, RETENTION, BOUND, PAGE = 65536, 32768, 15, 604800000000, 16, '256'
local AHEAD, INCARNATIONS, ENTRY, BIN = 3600000000, 9007199254740992, 39, 9984
local NONE, PEER, SLOTS = string.rep('0', 60), '9999999999999999', string.rep('?', 38)

local function limbs(text)
  local list = {}
  for last = #text, 1, -7 do list[#list + 1] = tonumber(string.sub(text, math.max(last - 6, 1), last)) end
  return list
end

-- a + b - c, exactly; c is not above b.
local function sum(a, b, c)
  a, b, c = limbs(a), limbs(b), limbs(c or '0')
  local text, carry = '', 0
  for i = 1, math.max(#a, #b) + 1 do
    local limb = (a[i] or 0) + (b[i] or 0) - (c[i] or 0) + carry
    carry = math.floor(limb / 10000000)
    text = string.format('%07.0f', limb - carry * 10000000) .. text
  end
  text = string.gsub(text, '^0+', '')
  return text == '' and '0' or text
end

local function highest(a, b) return a > b and a or b end
local function within(slot, p, n) return string.sub(slot, 1, 20) <= p and string.sub(slot, 21, 40) <= n end

local f = redis.call('HMGET', key, 'tp', 'tn', 'zp', 'zn', 'fp', 'fn', 'ep', 'v', 'hw', 'gc', 'head', 'tail', 'ops',
  'bins', 'peers', id)
local slot = f[16]
local tp, tn, zp, zn, fp, fn = f[1] or '0', f[2] or '0', f[3] or '0', f[4] or '0', f[5] or '0', f[6] or '0'
local epoch, version, hw, gc = f[7] or '0', f[8] or '0', f[9] or '0', f[10] or '0000000000000000'
local head, tail, ops = f[11] or '', f[12] or '', f[13] or ''
local bins, peers = tonumber(f[14] or 0), tonumber(f[15] or 0)

local function answer(verb, before, own)
  return {verb, string.sub(before or NONE, 1, 60), string.sub(own or NONE, 1, 40), tp, tn, zp, zn, epoch, version}
end

-- The bin of an id, and what is in it.
local function list()
  local bin = string.sub(id, 1, 1) .. string.byte(id, 2) % 4
  return bin, redis.call('HGET', key, bin) or ''
end
local function is_folded()
  if slot or id == '' then return false end
  local _, ids = list()
  return string.find(ids, ',' .. id, 1, true)
end

if op == 'GET' then
  local verb = is_folded() and 'FOLDED' or not slot and 'NONE' or #slot > 76 and 'RETIRED' or 'LIVE'
  return answer(verb, slot, slot)
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(n) return string.format('%.0f', n) end
local function tick() version = text(math.max(version + 1, now)) end
-- Where memory is full, Redis refuses to write to a script that has deleted nothing. What writes over what
-- is there asks to delete nothing first, and goes on; what begins a slot is refused.
local function proceed() redis.call('HDEL', key, '') end

if op == 'JOIN' then
  if math.max(hw + 1, now) >= INCARNATIONS then return answer('AHEAD') end
  hw = text(math.max(hw + 1, now))
  redis.call('HSET', key, 'hw', hw)
  local joined = answer('JOINED')
  joined[10] = hw
  return joined
end

if op == 'RESET' then
  local at, own = string.find(ops, id, 1, true), redis.call('HGET', key, ARGV[4])
  if not at and ARGV[3] ~= epoch then return answer('CONFLICT', own, own) end
  if not at then
    tick()
    zp, zn, epoch = tp, tn, text(epoch + 1)
    ops = id .. string.format('%016.0f', epoch) .. string.sub(ops, 1, 266)
    proceed()
    redis.call('HSET', key, 'zp', zp, 'zn', zn, 'ep', epoch, 'v', version, 'ops', ops)
    at = 1
  end
  local reset = answer('RESET', own, own)
  reset[10] = text(tonumber(string.sub(ops, at + 22, at + 37)))
  return reset
end

if op == 'SCAN' then
  -- By their length: what is folded would be a page of many times the size.
  local page = redis.call('HSCAN', key, id, 'MATCH', SLOTS, 'COUNT', PAGE)
  local part = answer('PART')
  part[10], part[11], part[12], part[13] = page[1], fp, fn, text(now)
  for i = 1, #page[2], 2 do
    part[#part + 1] = page[2][i]
    part[#part + 1] = string.sub(page[2][i + 1], 1, 77)
  end
  return part
end

if op == 'FIX' then
  if version ~= ARGV[3] then return answer('MOVED') end
  tp, tn = ARGV[4], ARGV[5]
  tick()
  proceed()
  redis.call('HSET', key, 'tp', tp, 'tn', tn, 'v', version)
  return answer('FIXED')
end

-- ADD, RETIRE and FOLD: the slot becomes the maximum of what it was and of what is told. All reads come
-- before the first write, and everything is written by one call.
local p, n, mark = ARGV[3], ARGV[4], ARGV[5]
local before, writes, drops = slot or NONE, {}, {}
local function put(field, value)
  writes[#writes + 1] = field
  writes[#writes + 1] = value
end
local incarnation = string.sub(id, 23)
local peer = incarnation == PEER
-- An id that is gone was counted and folded, or may have been: it is never minted again.
if is_folded() then return answer('FOLDED') end
if not slot and incarnation <= gc then return answer('UNKNOWN') end
-- An id from after now is of a server whose clock was ahead, or of nobody.
if not slot and not peer and tonumber(incarnation) > math.max(hw, now + AHEAD) then return answer('AHEAD') end
local oldp, oldn = string.sub(before, 1, 20), string.sub(before, 21, 40)
local newp, newn = highest(oldp, p), highest(oldn, n)
local raised = newp ~= oldp or newn ~= oldn
if not slot and not raised then return answer('NONE') end

local retired = slot and #slot > 76
local ending = op ~= 'ADD' and not retired and not peer
-- What somebody else has raised is not folded by who does not know of it.
local folding = ending and op == 'FOLD' and within(before, p, n)
local retiring = ending and not folding
if not raised and not ending then return answer(retired and 'RETIRED' or 'LIVE', before, before) end
local full = not slot and not folding and redis.call('HLEN', key) - bins >= LIMIT + FIELDS
if not slot and peer and peers >= PEERS then return answer('FULL') end

if retiring or full then
  -- Retired slots are a list in the order of their retirement. The old ones at its head are folded, and
  -- the first one whatever its age where its place is needed.
  local folded = 0
  while head ~= '' and folded < BOUND do
    local oldest = redis.call('HGET', key, head)
    if not oldest then break end
    local kept = tonumber(string.sub(oldest, 61, 76)) + RETENTION > now
    if kept and (folded > 0 or not full) then break end
    fp, fn = sum(fp, string.sub(oldest, 1, 20)), sum(fn, string.sub(oldest, 21, 40))
    gc = highest(gc, string.sub(head, 23))
    drops[#drops + 1] = head
    head, folded = string.sub(oldest, 78), folded + 1
  end
  if full and folded == 0 then return answer('FULL') end
  if folded > 0 then
    put('fp', fp)
    put('fn', fn)
    put('gc', gc)
    put('head', head)
  end
end

tick()
-- What was not acknowledged to the owner, somebody else has told: a copy of it, or who restored its bytes.
if mark ~= REPLAY and not within(before, ARGV[6], ARGV[7]) then
  mark = string.sub(before, 41, 60) == REPLAY and REPLAY or SHARED
end
local stamp = retired and string.sub(slot, 61, 76) or string.format('%016.0f', version)
local value = newp .. newn .. (raised and mark or string.sub(before, 41, 60)) .. stamp
if retired then value = value .. string.sub(slot, 77) end
if retiring then value = value .. 'r' end
if not slot and not peer then put('hw', text(math.max(hw, tonumber(incarnation)))) end
if not slot and peer then put('peers', text(peers + 1)) end
if raised then
  tp, tn = sum(tp, newp, oldp), sum(tn, newn, oldn)
  put('tp', tp)
  put('tn', tn)
end
put('v', version)

if folding then
  local bin, ids = list()
  if ids == '' then put('bins', text(bins + 1)) end
  ids = ids .. ',' .. id
  -- What leaves the list is refused by the floor.
  local from = 1
  while from + ENTRY < #ids do
    local first = string.sub(ids, from + 23, from + 38)
    if #ids - from < BIN and tonumber(first) + RETENTION > now then break end
    gc = highest(gc, first)
    from = from + ENTRY
  end
  fp, fn = sum(fp, newp), sum(fn, newn)
  put('fp', fp)
  put('fn', fn)
  put('gc', gc)
  put(bin, string.sub(ids, from))
  drops[#drops + 1] = id
else
  put(id, value)
end
if retiring then
  local linked = head ~= '' and redis.call('HGET', key, tail)
  if linked then put(tail, linked .. id) else put('head', id) end
  put('tail', id)
end
if #drops > 0 then redis.call('HDEL', key, unpack(drops)) elseif slot then proceed() end
redis.call('HSET', key, unpack(writes))
if folding then return answer('FOLDED', before, value) end
return answer((retired or retiring) and 'RETIRED' or 'LIVE', before, value)
