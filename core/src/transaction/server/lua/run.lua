-- Executing operations.

-- What a register keeps of replies: a register stays until its slot is used again, so it has to be small. Whoever
-- asks again for what was not kept is answered without.
local function recorded(replies) return #replies <= 16384 and replies or '' end

-- Executes the command whose name is the argument at `from`, on `key`: the reply, and its text where a double is too
-- small for it. What the key's place was is gone then.
local function run(from, count, key)
  ARGV[from + 1] = key
  local reply = redis.pcall(unpack(ARGV, from, from + count - 1))
  return reply, exactly(reply, key, ARGV[from + 2])
end
