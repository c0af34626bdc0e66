-- ONE_PHASE on the keys themselves. Its arguments behind the id: ring, digest and not_after, modes, how many checks,
-- how many operations, two limits, plan, order, and the checks and the operations.
-- `order` says the place of each operation in 3 digits: only those with the letter u have to be undone when a
-- later one fails, and behind the last that can fail come those that cannot. Those with f take no memory.

-- Executes the operations from the argument `at` on: the replies; or nothing, the place of the one that failed,
-- and its error, and everything is as it was. Only a command that the user has no permission for can fail where
-- none can; then the error says that something was executed.
local function direct(at, is_there)
  local byte, format, sub = string.byte, string.format, string.sub
  local order, count, replies, kept = ARGV[10], tonumber(ARGV[6]), '', false
  -- What was at the keys that were changed, and these in order; the replies where they are many or reordered.
  local old, list
  if order ~= '' or count > 9 then list = {} end
  if is_there and count > 0 then
    local letter = byte(ARGV[at])
    if letter == 102 or letter == 114 then
      local n, refused = out_of_memory(KEYS[1], at, count, 'f')
      if n then return nil, order == '' and n or sub(order, n * 3 - 2, n * 3) + 1, refused end
    end
  end
  for n = 1, count do
    local head, key = ARGV[at], KEYS[ARGV[at + 2] + 2]
    local letter, words, reply = byte(head), sub(head, 2) + 0, nil
    -- Behind the last there is nothing that could fail.
    local undone = letter == 117 and n < count
    if undone then
      old = old or {}
      if old[key] == nil then old[key] = redis.pcall('GET', key) end
    end
    if words == 3 then
      reply = redis.pcall(ARGV[at + 1], key, ARGV[at + 3])
    else
      ARGV[at + 2] = key
      reply = redis.pcall(unpack(ARGV, at + 1, at + words))
    end
    local form = type(reply)
    if form == 'table' and reply.err then
      for i = old and #old or 0, 1, -1 do
        key = old[i]
        local back = old[key] and redis.pcall('SET', key, old[key], 'KEEPTTL') or redis.pcall('DEL', key)
        kept = kept or type(back) == 'table' and back.err
      end
      return nil, order == '' and n or sub(order, n * 3 - 2, n * 3) + 1,
        kept and 'ERR others were executed and cannot be undone: ' .. reply.err or reply.err
    end
    if undone then
      old[#old + 1] = key
    elseif letter ~= 114 then
      kept = true
    end
    local text
    if form == 'number' and reply < 1000000000 and reply > -1000000000 then
      text = format(':%d\n', reply)
    else
      text = exactly(reply, key, ARGV[at + 3]) or encoded(reply)
    end
    if not list then
      replies = replies .. text
    else
      list[order == '' and n or sub(order, n * 3 - 2, n * 3) + 1] = text
    end
    at = at + 1 + words
  end
  return list and table.concat(list) or replies
end

-- The common case: the slot was used before, nothing is locked, nothing is to be checked. Whatever is not that is
-- left to the long way below, and so is recording a failure.
local failed_at, failure
if ARGV[9] == 'D' and ARGV[5] == '0' then
  local sub, register, count, f = string.sub, 'r' .. string.sub(ARGV[1], 1, 19), #ARGV[4]
  if count == 1 then
    f = redis.call('HMGET', KEYS[1], 'e', register, 'k' .. KEYS[2])
  elseif count == 2 then
    f = redis.call('HMGET', KEYS[1], 'e', register, 'k' .. KEYS[2], 'k' .. KEYS[3])
  else
    local fields = {'e', register}
    for i = 1, count do fields[i + 2] = 'k' .. KEYS[i + 1] end
    f = redis.call('HMGET', KEYS[1], unpack(fields))
  end
  local last, free = f[2], f[1] == ARGV[2]
  for i = 3, count + 2 do free = free and not f[i] end
  if free and last and sub(last, 1, 16) < sub(ARGV[1], 21) and string.byte(last, 17) ~= 80 then
    local replies
    replies, failed_at, failure = direct(11, true)
    if replies then
      if string.find(ARGV[4], 'W', 1, true) then
        redis.pcall('HSET', KEYS[1], register, sub(ARGV[1], 21) .. 'D' .. ARGV[3] .. '00000000000000001,0,0,p'
          .. (#replies <= 16384 and replies or ''))
      end
      return {'DONE', replies}
    end
  end
end
