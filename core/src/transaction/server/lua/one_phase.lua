-- ONE_PHASE, the long way. The plan is S for execution on shadows, or D and a list of the types that keys must have:
-- the place of an operation in 3 digits, of its key in 4, a letter.
role = 'p'
local answer = looked_up()
if answer and answer[1] == 'PREPARED' then answer = {'MISMATCH'} end
if answer then return answer end
if not register and now() > string.sub(ARGV[3], 17) then return stale() end
if f[1] ~= ring then return other_ring(writes) end
answer = locked_out(false, writes)
if answer then return answer end
local wrong = changed()
if wrong then return refuse(writes, 'CHANGED', wrong) end

local replies
if ARGV[9] == 'S' then
  local refusal
  replies, refusal = on_shadows()
  if not replies then return refuse(writes, unpack(refusal)) end
  local kinds, i = outcomes(), 0
  local denied = forbidden(kinds)
  if denied then
    drop_shadows()
    return refuse(writes, 'FAILED', '0', denied)
  end
  for kind, ends in string.gmatch(kinds, '(%a)(%d*);') do
    apply(kind, ends, KEYS[i + 2], prefix .. i)
    i = i + 1
  end
else
  local TYPES = {h = 'hash', l = 'list', s = 'set', z = 'zset'}
  for number, i, letter in string.gmatch(ARGV[9], '(%d%d%d)(%d%d%d%d)(%a)') do
    local kind = redis.call('TYPE', KEYS[i + 2]).ok
    if kind ~= 'none' and kind ~= TYPES[letter] then
      return refuse(writes, 'FAILED', tostring(tonumber(number)),
        'WRONGTYPE Operation against a key holding the wrong kind of value')
    end
  end
  if not failure then replies, failed_at, failure = direct(at, f[1]) end
  if failure then return refuse(writes, 'FAILED', tostring(failed_at - 1), failure) end
end
if writes then redis.pcall('HSET', T, slot, seq .. 'D' .. ARGV[3] .. ZEROS .. '1,0,0,p' .. recorded(replies)) end
return {'DONE', replies}
