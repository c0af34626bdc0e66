-- SWEEP: what is left over. KEYS: the participant's hash, shadows.   ARGV: P cursor, R ids..., K ids..., F cursor, or
-- S. R leaves what is kept for those who ask, K does not.
-- What nobody can read, after an accident, stays as it is: only what is sound is looked at.
local IDLE = 3600000000
local verb = ARGV[1]
local HEX, DIGITS = string.rep('[%da-f]', 16), string.rep('%d', 16)
local SLOT = HEX .. '%.[0-6]%d'
local HOLDER = '^' .. SLOT .. '%.' .. DIGITS .. DIGITS .. DIGITS

-- Whether it has this pattern, and at `at` the number of a slot.
local function has(pattern, text, at) return string.find(text, pattern) and string.sub(text, at, at + 1) < '64' end

-- The role in a register; nothing if that is not sound.
local function role_of(register)
  local role = parts(register)
  local letter = role and string.sub(role, 1, 1)
  return (letter == 's' or letter == 'p' and uncounted(role, 2)) and role or nil
end

local function idle(register)
  return string.sub(register, 17, 17) ~= 'P' and string.sub(register, 34, 49) + IDLE < tonumber(now())
end

if verb == 'R' or verb == 'K' then
  local drop = {}
  for i = 2, #ARGV do
    local field = 'r' .. string.sub(ARGV[i], 1, 19)
    local register = redis.call('HGET', T, field)
    if register and string.sub(register, 1, 16) == string.sub(ARGV[i], 21) and role_of(register) and idle(register)
      and (verb == 'K' or string.sub(register, 50, 65) <= now()) then
      drop[#drop + 1] = field
    end
  end
  return {'REMOVED', tostring(#drop > 0 and redis.call('HDEL', T, unpack(drop)) or 0)}
end

-- The key space is searched a thousand keys at a time. What was found is named by the call that removes it.
if verb == 'F' then
  local pattern = string.gsub(T, '[*?%[%]\\]', '\\%0') .. ':*'
  local part = redis.call('SCAN', ARGV[2], 'MATCH', pattern, 'COUNT', '1000')
  local answer = {'FOUND', part[1]}
  for n = 1, #part[2] do answer[n + 2] = part[2][n] end
  return answer
end

if verb == 'S' then
  local drop = {}
  for i = 2, #KEYS do
    local rest = string.sub(KEYS[i], 1, #T + 1) == T .. ':' and string.sub(KEYS[i], #T + 2) or ''
    local owner = string.match(rest, '^(%x+%.%d%d):%d+$')
    if owner and #owner == 19 then
      local register = redis.call('HGET', T, 'r' .. owner)
      if not register or role_of(register) and string.sub(register, 17, 17) ~= 'P' then drop[#drop + 1] = KEYS[i] end
    end
  end
  return {'REMOVED', tostring(#drop > 0 and redis.call('UNLINK', unpack(drop)) or 0)}
end

-- How many bytes were read: a register may be large, so a page ends by them, too.
local size = 0

-- Whether a holder may be recovered and yet its transaction is not prepared here.
local function orphan(holder)
  if string.sub(holder, 53, 68) > now() then return false end
  local register = redis.call('HGET', T, 'r' .. string.sub(holder, 1, 19))
  size = size + (register and #register or 0)
  return not register or role_of(register) and string.sub(register, 1, 17) ~= string.sub(holder, 21, 36) .. 'P'
end

-- The holders of a lock; nothing if they are not sound.
local function holders_of(lock)
  local exclusive, holders = string.sub(lock, 1, 1) == 'X', nil
  if exclusive then
    holders = {string.sub(lock, 2)}
  elseif string.find(lock, '^S' .. DIGITS) then
    holders = uncounted(lock, 18)
  end
  for _, holder in ipairs(holders or {}) do
    if not has(HOLDER, holder, 18) then return nil end
  end
  return holders
end

local found, drop, set, unreadable, cursor = {}, {}, {}, 0, ARGV[2]
for _ = 1, 32 do
  local part = redis.call('HSCAN', T, cursor, 'COUNT', '8')
  cursor = part[1]
  for n = 1, #part[2], 2 do
    local field, value = part[2][n], part[2][n + 1]
    local letter = string.sub(field, 1, 1)
    size = size + #field + #value
    if letter == 'r' then
      local state, role = string.sub(value, 17, 17), role_of(value)
      if not role or not has('^r' .. SLOT .. '$', field, 19) then
        unreadable = unreadable + 1
      elseif state == 'P' and string.sub(value, 50, 65) <= now() or idle(value) then
        found[#found + 1] = string.sub(field, 2) .. '.' .. string.sub(value, 1, 16)
        found[#found + 1] = state
        found[#found + 1] = string.sub(value, 34, 49)
        found[#found + 1] = string.sub(value, 50, 65)
        found[#found + 1] = role
      end
    elseif letter == 'k' then
      local rest, holders = value, holders_of(value)
      if not holders then
        unreadable = unreadable + 1
      elseif string.sub(value, 1, 1) == 'X' then
        if orphan(holders[1]) then rest = nil end
      else
        for _, holder in ipairs(holders) do
          if rest and orphan(holder) then
            local _, remaining = released(rest, string.sub(holder, 1, 36))
            rest = remaining
          end
        end
      end
      if not rest then
        drop[#drop + 1] = field
      elseif rest ~= value then
        set[#set + 1] = field
        set[#set + 1] = rest
      end
    end
  end
  if cursor == '0' or size >= 65536 then break end
end
if #drop > 0 or #set > 0 then redis.call('HDEL', T, '', unpack(drop)) end
if #set > 0 then redis.call('HSET', T, unpack(set)) end
return {'PAGE', cursor, now(), tostring(unreadable), unpack(found)}
