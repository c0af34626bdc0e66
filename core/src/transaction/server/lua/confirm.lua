-- CONFIRM: what is recorded of these transactions. ARGV: ids. Something is written if anything is found: a WAIT
-- behind it on the same connection then waits for all that was recorded before, whoever wrote it.
local fields, states, found = {}, {}, nil
for i = 1, #ARGV do fields[i] = 'r' .. string.sub(ARGV[i], 1, 19) end
local f = redis.call('HMGET', T, unpack(fields))
for i = 1, #ARGV do
  local same = f[i] and string.sub(f[i], 1, 16) == string.sub(ARGV[i], 21)
  states[i] = same and string.sub(f[i], 17, 17) or '-'
  if same then found = i end
end
if found then
  redis.call('HDEL', T, '')
  redis.call('HSET', T, fields[found], f[found])
end
return {'CONFIRMED', table.concat(states)}
