//! Operations by what their key mostly holds, with the key left out.

pub(super) const ANY: [&str; 9] = [
    "DEL",
    "EXISTS",
    "TYPE",
    "EXPIRE 100",
    "PERSIST",
    "EXPIRE 0",
    "PEXPIRE x",
    "SET v",
    "SET w EX 200",
];
pub(super) const STRINGS: [&str; 16] = [
    "SET a",
    "SET b NX",
    "SET c XX",
    "SET d KEEPTTL",
    "SET e PX 500000",
    "SET f GET",
    "SET g EX 0",
    "GET",
    "APPEND xy",
    "STRLEN",
    "SETRANGE 3 q",
    "GETRANGE 0 1",
    "INCR",
    "DEL",
    "SET x BAD",
    "MGET",
];
pub(super) const PLAIN: [&str; 8] =
    ["SET a", "SET b", "APPEND xy", "GET", "SETRANGE 3 q", "SET f GET", "EXPIRE 100", "DEL"];
pub(super) const NUMBERS: [&str; 12] = [
    "INCR",
    "DECR",
    "INCRBY 5",
    "INCRBY 9007199254740993",
    "DECRBY 9007199254740992",
    "INCRBY 9223372036854775807",
    "INCRBYFLOAT 0.5",
    "GET",
    "SET 7",
    "SET 9007199254740992",
    "EXPIRE 300",
    "INCRBY x",
];
pub(super) const HASHES: [&str; 11] = [
    "HSET f 1",
    "HSET f 2 g 3",
    "HSET f 1 g",
    "HSETNX f 9",
    "HINCRBY f 4",
    "HINCRBY f 9007199254740993",
    "HGET f",
    "HMGET f g",
    "HLEN",
    "HDEL f g",
    "HEXISTS g",
];
pub(super) const LISTS: [&str; 8] =
    ["LPUSH a", "RPUSH b c", "LPOP", "RPOP", "LPOP 2", "LRANGE 0 -1", "LLEN", "LSET 0 z"];
pub(super) const SETS: [&str; 5] = ["SADD a", "SADD b c", "SREM a b", "SISMEMBER a", "SCARD"];
pub(super) const SORTED: [&str; 7] =
    ["ZADD 1 a", "ZADD 2 b 3 c", "ZADD x a", "ZINCRBY 1.5 a", "ZREM a", "ZSCORE a", "ZRANGE 0 -1"];
pub(super) const READS: [&str; 12] = [
    "GET",
    "EXISTS",
    "TYPE",
    "STRLEN",
    "HGETALL",
    "HGET f",
    "HLEN",
    "SMEMBERS",
    "SCARD",
    "LLEN",
    "LRANGE 0 -1",
    "ZRANGE 0 -1 WITHSCORES",
];
