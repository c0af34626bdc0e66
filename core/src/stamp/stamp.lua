-- Which ring does the server belong to? KEYS: the participant's hash.   ARGV: nothing; or, to stamp it where it has
-- no stamp or one of those that may be replaced: stamp members replaced...
local f = redis.call('HMGET', KEYS[1], 'e', 'members')
local stamp, members = f[1], f[2]
local free = not stamp
for i = 3, #ARGV do free = free or stamp == ARGV[i] end
if ARGV[1] and free then
  stamp, members = ARGV[1], ARGV[2]
  redis.call('HSET', KEYS[1], 'e', stamp, 'members', members)
end
return {'STAMP', stamp or '', members or ''}
