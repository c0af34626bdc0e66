-- Transactions, server side: this and the next parts stand in front of each script that needs them. server/
-- is the same in Rust; mod.rs tells the layout and the promises.
-- KEYS: the participant's hash, the transaction's keys, a shadow for each that is written.   ARGV: id arguments...
-- Moments are microseconds of this server's TIME in 16 digits, and compared as text.
--
-- A register is the sequence in 16 digits, the state (P, D or A), the digest of the work in 16, not_after, a moment,
-- three lengths, and what they are of: the role, what became of each key, the keys. Behind them are the replies, or
-- the refusal where one is recorded. The moment is of a vote that from which others may recover it; of the others
-- that until which it is kept, because somebody was told that its outcome is in doubt.
-- An exclusive lock is X and its holder; a shared one is S, the moment until which new readers are kept out because
-- a writer waits, and a counted list of holders. A holder is the transaction's id, its not_after, the moment from
-- which it may be recovered, and the id of its primary's node.
local T, id = KEYS[1], ARGV[1]
local slot, seq = 'r' .. string.sub(id, 1, 19), string.sub(id, 21)
local ZEROS = '0000000000000000'

local time
local function now()
  if not time then
    local t = redis.call('TIME')
    time = t[1] .. string.sub('00000' .. t[2], -6)
  end
  return time
end

local function counted(list, from, to)
  local parts = {}
  for i = from, to do parts[#parts + 1] = #list[i] .. ':' .. list[i] end
  return table.concat(parts)
end

-- A counted list; nothing if it is none.
local function uncounted(text, at)
  local list = {}
  while at <= #text do
    local length, from = string.match(text, '^(%d+):()', at)
    if not length or from + length - 1 > #text then return nil end
    at = from + length
    list[#list + 1] = string.sub(text, from, at - 1)
  end
  return list
end

-- The role, what became of the keys, the keys, and what is behind them; nothing if the columns are not sound.
local COLUMNS
local function parts(register)
  COLUMNS = COLUMNS or '^' .. string.rep('%d', 16) .. '[PDA]' .. string.rep('[%da-f]', 16) .. string.rep('%d', 32)
    .. '(%d+),(%d+),(%d+),()'
  local role, kinds, keys, at = string.match(register, COLUMNS)
  if not role or at + role + kinds + keys - 1 > #register then return nil end
  local b = at + role
  local c = b + kinds
  local d = c + keys
  return string.sub(register, at, b - 1), string.sub(register, b, c - 1), string.sub(register, c, d - 1),
    string.sub(register, d)
end

-- What is known of a sequence: P, D or A if it is the register's; H if a higher one is; nothing if a lower one
-- or none is.
local function known(register)
  local last = register and string.sub(register, 1, 16)
  if not last or last < seq then return nil end
  return last == seq and string.sub(register, 17, 17) or 'H'
end

-- The vote of an earlier sequence is never replaced.
local function pending(register)
  return register and string.sub(register, 17, 17) == 'P'
    and {'PENDING', string.sub(id, 1, 20) .. string.sub(register, 1, 16)} or nil
end

local function stale() return {'STALE', now()} end
