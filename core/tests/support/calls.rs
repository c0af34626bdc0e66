//! Random calls of the embedded store's commands, over few keys whose types collide.

use comity::keyspace::command::{Command, KeyWords};

use super::Rng;
use super::words::{FLOATS, INTEGERS, KEYS, MEMBERS, ODD, VALUES, Word, family};

pub(crate) struct Calls {
    pub(crate) rng: Rng,
    words: Vec<Word>,
}

impl Calls {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), words: Vec::new() }
    }

    /// A call of `command`, mostly sound. `ttl_ms` says what is left of a key.
    pub(crate) fn call(
        &mut self,
        command: &Command,
        ttl_ms: impl Fn(&[u8]) -> Option<u64>,
    ) -> Vec<Word> {
        self.words.clear();
        let name = match self.rng.below(8) {
            0 => command.name.to_lowercase(),
            _ => command.name.to_string(),
        };
        self.push(name);
        match command.keys {
            KeyWords::First => self.key(command.name),
            KeyWords::Two => (0..2).for_each(|_| self.key(command.name)),
            KeyWords::All => (0..=self.rng.below(3)).for_each(|_| self.key(command.name)),
        }
        self.arguments(command.name, ttl_ms);
        if self.rng.chance(70) {
            self.spoil();
        }
        std::mem::take(&mut self.words)
    }

    fn spoil(&mut self) {
        let odd = Word::Bytes(self.rng.pick(&ODD).to_vec());
        let at = 1 + self.rng.index(self.words.len());
        match self.rng.below(4) {
            0 => self.words.truncate(at),
            1 => self.words.push(odd),
            _ if at < self.words.len() => self.words[at] = odd,
            _ => {}
        }
    }

    fn push(&mut self, word: impl AsRef<[u8]>) {
        self.words.push(Word::Bytes(word.as_ref().to_vec()));
    }

    fn key(&mut self, name: &str) {
        let keys = if self.rng.chance(150) { &KEYS } else { family(name) };
        let key = self.rng.pick(keys);
        self.push(key);
    }

    fn integer(&mut self) {
        let text = match self.rng.below(12) {
            0 => self.rng.pick(&INTEGERS).to_vec(),
            1 => self.rng.next().cast_signed().to_string().into_bytes(),
            _ => (self.rng.below(13) as i64 - 6).to_string().into_bytes(),
        };
        self.push(text);
    }

    fn float(&mut self) {
        let text = match self.rng.below(10) {
            0..3 => self.rng.pick(&FLOATS).to_vec(),
            3..6 => (self.rng.below(21) as i64 - 10).to_string().into_bytes(),
            6 => f64::from_bits(self.rng.next()).to_string().into_bytes(),
            7 => self.hexadecimal(),
            _ => self.decimal(),
        };
        self.push(text);
    }

    fn decimal(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let sign = rng.pick(&["", "-", "+"]);
        let whole: String =
            (0..rng.below(12)).map(|_| char::from(b'0' + rng.below(10) as u8)).collect();
        let fraction: String =
            (0..rng.below(14)).map(|_| char::from(b'0' + rng.below(10) as u8)).collect();
        let exponent = match rng.below(6) {
            0 => format!("e{}", rng.below(60) as i64 - 30),
            1 if rng.chance(50) => format!("E{:+}", rng.below(10_400) as i64 - 5_200),
            _ => String::new(),
        };
        format!("{sign}{whole}.{fraction}{exponent}").into_bytes()
    }

    fn hexadecimal(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let (mut digits, power) = (format!("{:x}{:X}", rng.next(), rng.next()), rng.below(200));
        let at = rng.index(digits.len());
        digits.insert(at, '.');
        format!("{}0x{digits}p{}", rng.pick(&["", "-"]), power as i64 - 150).into_bytes()
    }

    fn value(&mut self) {
        let value = match self.rng.below(4) {
            0 => self.rng.below(100).to_string().into_bytes(),
            1 => self.decimal(),
            _ => self.rng.pick(&VALUES).to_vec(),
        };
        self.push(value);
    }

    fn member(&mut self) {
        let member = self.rng.pick(&MEMBERS);
        self.push(member);
    }

    fn members(&mut self) {
        (0..=self.rng.below(3)).for_each(|_| self.member());
    }

    /// Some of `options`, in any order and case.
    fn options(&mut self, options: &[&str], chance: u64) {
        while self.rng.chance(chance) {
            let option = self.rng.pick(options);
            self.option(option);
        }
    }

    fn option(&mut self, option: &str) {
        let lower = self.rng.chance(300);
        self.push(if lower { option.to_lowercase() } else { option.to_string() });
    }

    /// From ten seconds to ten minutes: far enough that no test takes so long.
    fn life_ms(&mut self) -> i64 {
        10_000 + self.rng.below(60) as i64 * 10_000
    }

    /// The end of a key: a moment, a span, or something else.
    fn end(&mut self, seconds: bool, relative: bool) {
        if self.rng.chance(60) {
            let odd = self.rng.pick(&ODD);
            return self.push(odd);
        }
        let ms = if self.rng.chance(120) { -self.life_ms() } else { self.life_ms() };
        match (relative, seconds) {
            (true, _) => self.push((if seconds { ms / 1_000 } else { ms }).to_string()),
            (false, true) => self.words.push(Word::Seconds(ms)),
            (false, false) => self.words.push(Word::Ms(ms)),
        }
    }

    fn expiry(&mut self, seconds: bool, relative: bool, ttl_ms: impl Fn(&[u8]) -> Option<u64>) {
        let Word::Bytes(key) = self.words[1].clone() else { return };
        let at = self.words.len();
        self.end(seconds, relative);
        if self.rng.chance(400) {
            self.options(&["NX", "XX", "GT", "LT"], 500);
        }
        // Which of two ends comes first must not hang on when the real server got the command.
        let unit = if seconds { 1_000 } else { 1 };
        let left = ttl_ms(&key).map_or(i64::MIN, |ms| ms as i64);
        let near = |ms: i64| ms > 0 && ms.abs_diff(left) < 5_000;
        let apart = (left.saturating_add(7_000)) / 1_000 * 1_000;
        match &mut self.words[at] {
            Word::Ms(ms) | Word::Seconds(ms) if near(*ms) => *ms = apart,
            Word::Bytes(text) => {
                let number = String::from_utf8_lossy(text).parse::<i64>();
                if near(number.unwrap_or(0).saturating_mul(unit)) {
                    *text = (apart / unit).to_string().into_bytes();
                }
            }
            _ => {}
        }
    }

    fn score_bound(&mut self) {
        let mut text = match self.rng.below(12) {
            0 => self.rng.pick(&FLOATS).to_vec(),
            1 => self
                .rng
                .pick(&[&b""[..], b" 1", b"\t-2\0x", b"1x", b"- 1", b" ", b"1e400"])
                .to_vec(),
            2 => b"-inf".to_vec(),
            3 => b"+inf".to_vec(),
            _ => (self.rng.below(21) as i64 - 10).to_string().into_bytes(),
        };
        if self.rng.chance(250) {
            text.insert(0, b'(');
        }
        self.push(text);
    }

    fn member_bound(&mut self) {
        let edges: [&[u8]; 6] = [b"-", b"+", b"-\0x", b"+x", b"a", b""];
        let text = match self.rng.below(4) {
            0 => self.rng.pick(&edges).to_vec(),
            1 => [&b"("[..], self.rng.pick(&MEMBERS)].concat(),
            _ => [&b"["[..], self.rng.pick(&MEMBERS)].concat(),
        };
        self.push(text);
    }

    fn limit(&mut self) {
        if self.rng.chance(350) {
            self.option("LIMIT");
            self.integer();
            self.integer();
        }
    }

    fn zrange(&mut self) {
        let kind = self.rng.below(3);
        for _ in 0..2 {
            match kind {
                0 => self.integer(),
                1 => self.score_bound(),
                _ => self.member_bound(),
            }
        }
        match kind {
            0 => {}
            1 => self.option("BYSCORE"),
            _ => self.option("BYLEX"),
        }
        if kind > 0 || self.rng.chance(60) {
            self.limit();
        }
        if kind < 2 && self.rng.chance(400) {
            self.option("WITHSCORES");
        }
        if self.rng.chance(400) {
            self.option("REV");
        }
        self.options(&["WITHSCORES", "REV", "BYLEX", "BYSCORE"], 40);
    }

    fn arguments(&mut self, name: &str, ttl_ms: impl Fn(&[u8]) -> Option<u64>) {
        match name {
            "SET" => {
                self.value();
                self.options(&["NX", "XX", "GET", "KEEPTTL"], 350);
                if self.rng.chance(350) {
                    let unit = self.rng.pick(&["EX", "PX", "EXAT", "PXAT"]);
                    self.option(unit);
                    self.end(unit.starts_with('E'), !unit.ends_with("AT"));
                    self.options(&["NX", "XX", "GET", "KEEPTTL"], 150);
                }
            }
            "APPEND" => self.value(),
            "GETRANGE" | "LRANGE" => (0..2).for_each(|_| self.integer()),
            "SETRANGE" => {
                let offset = match self.rng.below(10) {
                    0 => self.rng.pick(&["16777216", "536870912", "-5"]).to_string(),
                    _ => self.rng.below(40).to_string(),
                };
                self.push(offset);
                self.value();
            }
            "INCRBY" | "DECRBY" | "LINDEX" => self.integer(),
            "INCRBYFLOAT" => self.float(),
            "COPY" => {
                if self.rng.chance(600) {
                    self.option("REPLACE");
                }
                if self.rng.chance(100) {
                    self.option("DB");
                    let number = self.rng.pick(&["0", "0", "-1", "16", "4294967296", "x", "-0"]);
                    self.push(number);
                }
            }
            "EXPIRE" => self.expiry(true, true, ttl_ms),
            "PEXPIRE" => self.expiry(false, true, ttl_ms),
            "EXPIREAT" => self.expiry(true, false, ttl_ms),
            "PEXPIREAT" => self.expiry(false, false, ttl_ms),
            "HSET" => (0..=self.rng.below(2)).for_each(|_| {
                self.member();
                self.value();
            }),
            "HSETNX" => {
                self.member();
                self.value();
            }
            "HINCRBY" => {
                self.member();
                self.integer();
            }
            "HGET" | "HEXISTS" | "SISMEMBER" | "ZSCORE" | "ZRANK" => self.member(),
            "HMGET" | "HDEL" | "SADD" | "SREM" | "ZREM" | "LPUSH" | "RPUSH" => self.members(),
            "LPOP" | "RPOP" if self.rng.chance(400) => self.integer(),
            "LSET" => {
                self.integer();
                self.value();
            }
            "ZADD" => {
                self.options(&["NX", "XX", "GT", "LT", "CH", "INCR"], 350);
                for _ in 0..=self.rng.below(3).saturating_sub(1) {
                    self.float();
                    self.member();
                }
            }
            "ZINCRBY" => {
                self.float();
                self.member();
            }
            "ZRANGE" => self.zrange(),
            "ZRANGEBYSCORE" => {
                (0..2).for_each(|_| self.score_bound());
                self.limit();
                if self.rng.chance(400) {
                    self.option("WITHSCORES");
                }
            }
            _ => {}
        }
    }
}
