-- PREPARE: locks, validates, and executes on shadows. ARGV: ... 'k' or '-' and the patience, role.
role = ARGV[10]
local answer = looked_up()
if answer then return answer end
if now() > string.sub(ARGV[3], 17) then return stale() end
local decides = string.sub(role, 1, 1) == 'p'
if f[1] ~= ring then return other_ring(decides) end
answer = locked_out(true, decides and string.sub(ARGV[9], 1, 1) ~= 'k')
if answer then return answer end
local wrong = changed()
if wrong then return refuse(decides, 'CHANGED', wrong) end
local deadline = string.format('%016.0f', now() + math.min(tonumber(string.sub(ARGV[9], 2)), 60000000))
local primary = string.sub(role, 2)
if decides then
  local length, from = string.match(role, '^p(%d+):()')
  primary = length and string.sub(role, from, from + length - 1) or ''
end
local holder = id .. string.sub(ARGV[3], 17) .. deadline .. primary
local replies, refusal = on_shadows()
if not replies then return refuse(decides, unpack(refusal)) end

local kinds, names = outcomes(), counted(KEYS, 2, keys + 1)
local denied = forbidden(kinds)
if denied then
  drop_shadows()
  return refuse(decides, 'FAILED', '0', denied)
end
local set = {slot, table.concat({seq, 'P', ARGV[3], deadline, #role, ',', #kinds, ',', #names, ',', role, kinds,
  names, recorded(replies)})}
for i = 1, keys do
  set[#set + 1] = fields[i + 2]
  if string.sub(modes, i, i) == 'S' then
    set[#set + 1] = (f[i + 2] or 'S' .. ZEROS) .. #holder .. ':' .. holder
  else
    set[#set + 1] = 'X' .. holder
  end
end
-- Making a shadow was a write. Without one a deletion lets the rest run when memory is full.
if not next(shadows) then redis.call('HDEL', T, '') end
redis.call('HSET', T, unpack(set))
return {'PREPARED', now(), replies}
