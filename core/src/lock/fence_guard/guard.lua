-- The fencing guard: a fence is accepted unless a higher one was seen. KEYS: highest. ARGV: fence retention-ms.
local seen = redis.call('GET', KEYS[1])
if seen and tonumber(seen) > tonumber(ARGV[1]) then return {'STALE', seen} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'ACCEPTED', ARGV[1]}
