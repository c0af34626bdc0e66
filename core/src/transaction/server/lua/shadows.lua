-- Operations on shadows. A key is copied when something first needs it; what only reads an untouched key reads
-- the key itself.
local prefix = T .. ':' .. string.sub(id, 1, 19) .. ':'
local elements, bytes = tonumber(ARGV[7]), tonumber(ARGV[8])
local shadows, collections = {}, {}

-- The shadow of key number `i`; nothing and the size and the limit, or an error, if it cannot be made.
local function copy(i)
  local key, shadow = KEYS[i + 2], prefix .. i
  local size, limit = redis.pcall('STRLEN', key), bytes
  if type(size) == 'table' then
    local length = {hash = 'HLEN', set = 'SCARD', list = 'LLEN', zset = 'ZCARD', stream = 'XLEN'}
    collections[i] = true
    size, limit = redis.pcall(length[redis.call('TYPE', key).ok] or 'EXISTS', key), elements
    if type(size) == 'table' then return nil, size.err end
    local memory = size <= limit and redis.pcall('MEMORY', 'USAGE', key)
    if type(memory) == 'number' and memory > bytes then size, limit = memory, bytes end
  end
  if size > limit then return nil, size, limit end
  local copied = redis.pcall('COPY', key, shadow, 'REPLACE')
  if type(copied) == 'table' then return nil, copied.err end
  -- There is nothing to copy, and what an earlier transaction of the slot may have left is none of it.
  if copied == 0 then redis.pcall('UNLINK', shadow) end
  return shadow
end

local function drop_shadows()
  local list = {}
  for _, shadow in pairs(shadows) do list[#list + 1] = shadow end
  if #list > 0 then redis.pcall('UNLINK', unpack(list)) end
end

-- Executes the operations on shadows: the replies; or nothing and the arguments of a refusal.
local function on_shadows()
  local replies = {}
  if f[1] then
    local n, refused = out_of_memory(T, at, operations, 'd')
    if n then return nil, {'FAILED', tostring(n - 1), refused} end
  end
  for n = 1, operations do
    local letter, count, i = string.sub(ARGV[at], 1, 1), tonumber(string.sub(ARGV[at], 2)), tonumber(ARGV[at + 2])
    local reply, exact
    if letter == 'd' and not shadows[i] then
      shadows[i], collections[i] = prefix .. i, true
      reply = redis.pcall('UNLINK', shadows[i])
      if type(reply) == 'number' then reply = redis.pcall('EXISTS', KEYS[i + 2]) end
    else
      if letter == 'o' and not shadows[i] then
        shadows[i], collections[i] = prefix .. i, true
      elseif letter ~= 'r' and not shadows[i] then
        local shadow, size, limit = copy(i)
        if not shadow then
          drop_shadows()
          if not limit then return nil, {'FAILED', tostring(n - 1), size} end
          return nil, {'LARGE', tostring(i), string.format('%.0f', size), tostring(limit)}
        end
        shadows[i] = shadow
      end
      reply, exact = run(at + 1, count, shadows[i] or KEYS[i + 2])
    end
    if type(reply) == 'table' and reply.err then
      drop_shadows()
      return nil, {'FAILED', tostring(n - 1), reply.err}
    end
    replies[n] = exact or encoded(reply)
    at = at + 1 + count
  end
  return table.concat(replies)
end

-- What becomes of each key: S and X only locked, x not written after all, d deleted, w and W written, the
-- latter over something that is to be unlinked first, with the millisecond at which it ends.
local function outcomes()
  local kinds = {}
  for i = 0, keys - 1 do
    local kind = string.sub(modes, i + 1, i + 1)
    if kind == 'W' then
      local left = shadows[i] and redis.call('PTTL', shadows[i])
      if not left then kind = 'x'
      elseif left == -2 then kind = 'd'
      else
        kind = collections[i] and 'W' or 'w'
        if left >= 0 then kind = kind .. string.format('%.0f', math.floor(now() / 1000) + left) end
      end
    end
    kinds[i + 1] = kind .. ';'
  end
  return table.concat(kinds)
end
