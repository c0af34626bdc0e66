-- ONE_PHASE on the keys themselves. Its arguments behind the id: ring, digest and not_after, modes, how many checks,
-- how many operations, two limits, plan, order, and the checks and the operations.
-- `order` says the place of each operation in 3 digits: only those with the letter u have to be undone when a
-- later one fails, and behind the last that can fail come those that cannot. Those with f take no memory.

-- Executes the operations from the argument `at` on: the replies; or nothing, the place of the one that failed,
-- and its error, and everything is as it was. Only a command that the user has no permission for can fail where
-- none can; then the error says that something was executed.
local function direct(at, is_there)
  local order, undo, old, list, kept = ARGV[10], {}, {}, {}, false
  local function place_of(n) return order == '' and n or string.sub(order, n * 3 - 2, n * 3) + 1 end
  if is_there then
    local n, refused = out_of_memory(KEYS[1], at, tonumber(ARGV[6]), 'f')
    if n then return nil, place_of(n), refused end
  end
  for n = 1, tonumber(ARGV[6]) do
    local head, key = ARGV[at], KEYS[ARGV[at + 2] + 2]
    local undone = string.byte(head) == 117
    if undone and old[key] == nil then old[key] = redis.pcall('GET', key) end
    local count = tonumber(string.sub(head, 2))
    local reply, exact = run(at + 1, count, key)
    local place = place_of(n)
    if type(reply) == 'table' and reply.err then
      for i = #undo, 1, -1 do
        key = undo[i]
        local back = old[key] and redis.pcall('SET', key, old[key], 'KEEPTTL') or redis.pcall('DEL', key)
        kept = kept or type(back) == 'table' and back.err
      end
      return nil, place, kept and 'ERR others were executed and cannot be undone: ' .. reply.err or reply.err
    end
    if undone then
      undo[#undo + 1] = key
    elseif string.byte(head) ~= 114 then
      kept = true
    end
    list[place] = exact or encoded(reply)
    at = at + 1 + count
  end
  return table.concat(list)
end

-- The common case: the slot was used before, nothing is locked, nothing is to be checked. Whatever is not that is
-- left to the long way below, and so is recording a failure.
local failed_at, failure
if ARGV[9] == 'D' and ARGV[5] == '0' then
  local register, count = 'r' .. string.sub(ARGV[1], 1, 19), #ARGV[4]
  local fields = {'e', register}
  for i = 1, count do fields[i + 2] = 'k' .. KEYS[i + 1] end
  local f = redis.call('HMGET', KEYS[1], unpack(fields))
  local last, free = f[2], f[1] == ARGV[2]
  for i = 3, count + 2 do free = free and not f[i] end
  if free and last and string.sub(last, 1, 16) < string.sub(ARGV[1], 21) and string.byte(last, 17) ~= 80 then
    local replies
    replies, failed_at, failure = direct(11, true)
    if replies then
      if string.find(ARGV[4], 'W', 1, true) then
        redis.pcall('HSET', KEYS[1], register,
          string.sub(ARGV[1], 21) .. 'D' .. ARGV[3] .. '00000000000000001,0,0,p' .. recorded(replies))
      end
      return {'DONE', replies}
    end
  end
end
