-- EXEC1: a whole transaction, all of whose keys are here. ARGV: ... plan, order.
-- The plan is S for execution on shadows, or D and a list of the types that keys must have: the place of an
-- operation in 3 digits, of its key in 4, a letter. With D the operations come in an order of their own, and
-- `order` says the place of each in 3 digits: only those with the letter u have to be undone when a later one
-- fails, and behind the last that can fail come those that cannot.
role = 'p'
local answer = looked_up()
if answer and answer[1] == 'PREPARED' then answer = {'MISMATCH'} end
if answer then return answer end
if not register and now() > string.sub(ARGV[3], 17) then return stale() end
if f[1] and f[1] ~= ring then return refuse(writes, 'RING', f[1]) end
answer = locked_out(false, writes)
if answer then return answer end
local wrong = changed()
if wrong then return refuse(writes, 'CHANGED', wrong) end

local plan, order = ARGV[9], ARGV[10]
local replies
if plan == 'S' then
  local refusal
  replies, refusal = on_shadows()
  if not replies then return refuse(writes, unpack(refusal)) end
  local i = 0
  for kind, ends in string.gmatch(outcomes(), '(%a)(%d*);') do
    apply(kind, ends, KEYS[i + 2], prefix .. i)
    i = i + 1
  end
else
  local TYPES = {h = 'hash', l = 'list', s = 'set', z = 'zset'}
  for place, i, letter in string.gmatch(plan, '(%d%d%d)(%d%d%d%d)(%a)') do
    local kind = redis.call('TYPE', KEYS[i + 2]).ok
    if kind ~= 'none' and kind ~= TYPES[letter] then
      return refuse(writes, 'FAILED', tostring(tonumber(place)),
        'WRONGTYPE Operation against a key holding the wrong kind of value')
    end
  end
  local undo, old, list = {}, {}, {}
  for n = 1, operations do
    local head, key = ARGV[at], KEYS[ARGV[at + 2] + 2]
    local count = tonumber(string.sub(head, 2))
    local place = order == '' and n or string.sub(order, n * 3 - 2, n * 3) + 1
    local undone = string.byte(head) == 117
    if undone and old[key] == nil then old[key] = redis.pcall('GET', key) end
    local reply, exact = run(at + 1, count, key)
    if type(reply) == 'table' and reply.err then
      for i = #undo, 1, -1 do
        key = undo[i]
        if old[key] then redis.pcall('SET', key, old[key], 'KEEPTTL') else redis.pcall('DEL', key) end
      end
      return refuse(writes, 'FAILED', tostring(place - 1), reply.err)
    end
    if undone then undo[#undo + 1] = key end
    list[place] = exact or encoded(reply)
    at = at + 1 + count
  end
  replies = table.concat(list)
end
if writes then
  local done = seq .. 'D' .. ARGV[3] .. ZEROS .. '1,0,0,p' .. replies
  if f[1] then redis.pcall('HSET', T, slot, done) else redis.pcall('HSET', T, slot, done, 'e', ring) end
end
return {'DONE', replies}
