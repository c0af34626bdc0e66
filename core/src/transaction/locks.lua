-- Locks. An exclusive one is X and its holder; a shared one is S, the moment until which new readers are kept
-- out because a writer waits, and a counted list of holders. A holder is the transaction's id, its not_after,
-- the moment from which it may be recovered, and the id of its primary's node.
local SHARED = 32

local function first_to_end(holders)
  local first
  for _, holder in ipairs(holders) do
    if not first or string.sub(holder, 53, 68) < string.sub(first, 53, 68) then first = holder end
  end
  return first
end

-- Who keeps a key from this transaction; true besides if that is a reader who keeps out a writer.
local function obstacle(lock, mode, joins)
  if not lock then return nil end
  if string.sub(lock, 1, 1) == 'X' then return string.sub(lock, 2) end
  local holders = uncounted(lock, 18)
  if mode ~= 'S' then return first_to_end(holders), true end
  if joins and (#holders >= SHARED or string.sub(lock, 2, 17) > now()) then return first_to_end(holders) end
end

-- A lock without one holder, if it holds it: whether it did, and what remains, if anything.
local function released(lock, who)
  if not lock then return false end
  if string.sub(lock, 1, 1) == 'X' then return string.sub(lock, 2, 37) == who end
  local mine, rest = false, {}
  for _, holder in ipairs(uncounted(lock, 18)) do
    if string.sub(holder, 1, 36) == who then mine = true else rest[#rest + 1] = holder end
  end
  return mine, #rest > 0 and string.sub(lock, 1, 17) .. counted(rest, 1, #rest) or nil
end
