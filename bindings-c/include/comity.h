/* comity for C. Generated from the crate comity-c: do not edit.
 *
 * Status. Functions that can fail return COMITY_OK or a COMITY_ERROR_ code, and write their outputs
 * only if they return COMITY_OK; comity_last_error() has the words. Every function of a handle
 * returns COMITY_ERROR_INVALID_ARGUMENT for NULL; COMITY_ERROR_INTERNAL if it meets a bug, after
 * which the handle is dead; and COMITY_ERROR_INVALID_STATE for a dead handle, which can only be freed.
 *
 * Pointers. A pointer to bytes, elements or words points to as many as its length or count says, and
 * may be NULL if there are none. Inputs are read during the call only and copied where they are kept.
 * Outputs point to a place that can be written, which need not be initialised.
 *
 * Handles. What _new or another function gives is freed with the _free of its kind, once; NULL is fine.
 * A freed handle must not be used: debug builds of the library recognise most of them.
 *
 * Borrowed outputs, such as a comity_command or comity_bytes, are valid as long as their function
 * says, and never longer than their handle.
 *
 * Threads. One thread at a time may use a handle, any thread; a comity_ring may be used by many. Debug
 * builds of the library return COMITY_ERROR_INVALID_STATE where they meet two at once.
 *
 * Processes. In the child of a fork every function of a comity_coordinator or comity_connection that was
 * made before returns COMITY_ERROR_INVALID_STATE: its leases are the parent's, and so is its stream. Free
 * it and make a new one.
 *
 * Options. A struct of options is filled by its _init function, which takes its sizeof, and changed
 * after that, so that a program runs with a library of another version.
 *
 * Time. Every now_us is microseconds since an origin that the host chooses, from a clock that never
 * runs backwards and goes on during suspend where there is one (CLOCK_BOOTTIME), and is below 2^63:
 * COMITY_ERROR_INVALID_ARGUMENT otherwise. An earlier one than before counts as the same moment.
 * Moments that come out are on the same clock.
 *
 * Text is UTF-8. Names, keys and values are any bytes. */

#ifndef COMITY_H
#define COMITY_H

#include <stddef.h>
#include <stdint.h>

// No value: never, for ever, without a limit, not known; each field says which.
#define COMITY_NONE UINT64_MAX

// The call succeeded.
#define COMITY_OK 0

// An option or value of another type or out of range; the message names it and the range. State
// unchanged.
#define COMITY_ERROR_INVALID_ARGUMENT 1

// A stated limit would be passed; the message names it. State unchanged.
#define COMITY_ERROR_LIMIT_EXCEEDED 2

// A verb in the wrong order, or a handle that is dead or belongs elsewhere. State unchanged.
#define COMITY_ERROR_INVALID_STATE 3

// A server, client or command that cannot serve this; the message says why.
#define COMITY_ERROR_UNSUPPORTED 4

// The coordinator was closed. State unchanged.
#define COMITY_ERROR_CLOSED 5

// The lock was not granted in time.
#define COMITY_ERROR_LOCK_TIMEOUT 20

// The lease ended before the release: somebody else may have held the lock meanwhile.
#define COMITY_ERROR_LOCK_LOST 21

// Release or renewal of a lock that is not held. State unchanged.
#define COMITY_ERROR_NOT_HELD 22

// A transaction met a changed value or a lock; the message names the key. Nothing was applied.
#define COMITY_ERROR_CONFLICT 30

// A command of a transaction failed; the message names it. Nothing was applied.
#define COMITY_ERROR_COMMAND_FAILED 31

// A transaction was cancelled, took too long, or was aborted by another client. Nothing was
// applied.
#define COMITY_ERROR_ABORTED 32

// Nobody can tell now whether a transaction was applied; it goes on being found out, and can be
// resolved by its id.
#define COMITY_ERROR_OUTCOME_UNKNOWN 33

// A count beyond the range. State unchanged.
#define COMITY_ERROR_OVERFLOW 40

// Two clients place keys differently, or call servers by each other's ids. Nothing was done.
#define COMITY_ERROR_RING_MISMATCH 50

// The command never left, or no connection could be made in time.
#define COMITY_ERROR_UNREACHABLE 60

// The command was sent and no answer came in time: it may have been executed.
#define COMITY_ERROR_NO_ANSWER 61

// The server answered with an error of its own; the message has its words.
#define COMITY_ERROR_SERVER_REFUSED 62

// The key holds a value of another type.
#define COMITY_ERROR_WRONG_TYPE 63

// Bytes that are not a valid snapshot; the message says where. State unchanged.
#define COMITY_ERROR_CORRUPT 64

// A bug in comity. The handle that it was met in is dead.
#define COMITY_ERROR_INTERNAL 90

// Over a connection to the node.
#define COMITY_ROUTE_NODE 1

// Over the node's push connection, which the host opens for it: a confirmed subscription is
// reported by COMITY_NODE_PUSH_READY, a failed one as a failure or an error reply.
#define COMITY_ROUTE_SUBSCRIBE 2

// Over a connection to the node that serves this route alone, because a command of it blocks the
// connection. All of them that are ready for a node leave in one write on one connection, in their
// order; any that cannot is COMITY_FAILURE_NOT_SENT, and none is ever sent on another connection. A
// host without such a connection reports all of them as not sent.
#define COMITY_ROUTE_BLOCKING 3

// The most words of a command.
#define COMITY_COMMAND_MAX_WORDS 1048576

// Not a byte was written: the command was certainly not executed.
#define COMITY_FAILURE_NOT_SENT 1

// The command may or may not have been executed, or may still be.
#define COMITY_FAILURE_OUTCOME_UNKNOWN 2

// A connection to the node was made.
#define COMITY_NODE_CONNECTED 1

// The connection to the node was lost. Outstanding requests are reported one by one besides.
#define COMITY_NODE_LOST 2

// The push connection to the node is subscribed.
#define COMITY_NODE_PUSH_READY 3

// The push connection to the node is gone: messages may have been missed.
#define COMITY_NODE_PUSH_LOST 4

// A bulk string: bytes.
#define COMITY_REPLY_STRING 1

// An array: elements.
#define COMITY_REPLY_ARRAY 2

// An integer: integer.
#define COMITY_REPLY_INTEGER 3

// Nil, a null bulk string or a null array.
#define COMITY_REPLY_NIL 4

// A simple string such as OK: bytes.
#define COMITY_REPLY_STATUS 5

// An error: bytes, the whole text, its code word first.
#define COMITY_REPLY_ERROR 6

// RESP3: a double: bytes, its text.
#define COMITY_REPLY_DOUBLE 7

// RESP3: a boolean: integer is 0 or 1.
#define COMITY_REPLY_BOOL 8

// RESP3: a map: elements, each key followed by its value.
#define COMITY_REPLY_MAP 9

// RESP3: a set: elements.
#define COMITY_REPLY_SET 10

// RESP3: a push: elements. Taken as an array.
#define COMITY_REPLY_PUSH 12

// RESP3: a big number: bytes, its decimal text.
#define COMITY_REPLY_BIGNUM 13

// RESP3: a verbatim string: bytes, without the type in front. Taken as a bulk string.
#define COMITY_REPLY_VERBATIM 14

// The deepest reply: an array in an array has depth 2.
#define COMITY_REPLY_MAX_DEPTH 32

// The most elements of a reply, those of its elements included.
#define COMITY_REPLY_MAX_ELEMENTS 1048576

// TCP: host and port.
#define COMITY_ADDRESS_TCP 1

// TLS over TCP: host, which the certificate is for, and port.
#define COMITY_ADDRESS_TLS 2

// A socket of this machine: path.
#define COMITY_ADDRESS_UNIX 3

// An event that is about no node.
#define COMITY_NO_NODE UINT32_MAX

// The lock is not free: the request is in its queue. Fields: lock, name, rank, holder.
#define COMITY_EVENT_LOCK_QUEUED 1

// The lock is held. Fields: lock, name, fence, valid_until_us.
#define COMITY_EVENT_LOCK_GRANTED 2

// The lease was made longer, as the last comity_lock_renew asked for or by itself. Fields: lock,
// name, valid_until_us, accepted.
#define COMITY_EVENT_LOCK_RENEWED 3

// The lease has ended without a release. Fields: lock, name, error. Last.
#define COMITY_EVENT_LOCK_LOST 4

// The lock was given back. Fields: lock, name. Last.
#define COMITY_EVENT_LOCK_RELEASED 5

// The lock was not granted, or its release could not be confirmed. Fields: lock, name, error,
// holder. Last.
#define COMITY_EVENT_LOCK_FAILED 6

// The answer to comity_lock_inspect. Fields: call, inspection. Last.
#define COMITY_EVENT_LOCK_INSPECTED 7

// The fencing guard's answer to comity_fence_check, with the highest fence seen. Fields: call,
// accepted, fence. Last.
#define COMITY_EVENT_FENCE_CHECKED 8

// All that was counted before the call is safe, as the counter's durability has it. Fields: call,
// counter, name, node. Last.
#define COMITY_EVENT_COUNTER_FLUSHED 9

// The value as recent as was asked for. Fields: call, counter, name, node, reading. Last.
#define COMITY_EVENT_COUNTER_READ 10

// The value began anew at zero, once. Fields: call, counter, name, node, epoch. Last.
#define COMITY_EVENT_COUNTER_RESET 11

// All slots were read. Fields: call, counter, name, node, audit. Last.
#define COMITY_EVENT_COUNTER_AUDITED 12

// Write this down, in place of what was written before, then say comity_counter_journaled. Fields:
// counter, name, data.
#define COMITY_EVENT_COUNTER_JOURNAL 13

// These are not counted, or nobody can tell, and will not be tried again. At most so many. Fields:
// counter, name, units, error.
#define COMITY_EVENT_COUNTER_LOST 14

// The server has lost acknowledged units, as after a failover. Those of this replica are given
// back to it; the value may have gone back until every replica has done so. Fields: counter, name,
// node.
#define COMITY_EVENT_COUNTER_REGRESSED 15

// The server does not take what is counted. It is kept and tried again; told once until it does.
// Fields: counter, name, error.
#define COMITY_EVENT_COUNTER_REFUSED 16

// The counter is closed. So many units were not acknowledged by then: they may be counted or not.
// Fields: counter, name, node, units. Last.
#define COMITY_EVENT_COUNTER_CLOSED 17

// The transaction is applied, or will be: it is decided. Fields: transaction, id, replies,
// reply_count, applied, replicas. Last.
#define COMITY_EVENT_TRANSACTION_COMMITTED 18

// Nothing of the transaction was applied, and nothing will be. Fields: transaction, id, error.
// Last.
#define COMITY_EVENT_TRANSACTION_FAILED 19

// Nobody can tell now whether the transaction is applied. It goes on being found out, which ends
// with COMITY_EVENT_TRANSACTION_ENDED. Fields: transaction, id, error. Last.
#define COMITY_EVENT_TRANSACTION_UNKNOWN 20

// What has become of a transaction that was told to be unknown. Fields: id, outcome.
#define COMITY_EVENT_TRANSACTION_ENDED 21

// A node does not have what a transaction has decided, as after a failover. The outcome that was
// told stands. Fields: id, node.
#define COMITY_EVENT_TRANSACTION_DAMAGED 22

// What the primary says of a transaction, asked by comity_transaction_status. Fields: call, id,
// outcome. Last.
#define COMITY_EVENT_TRANSACTION_STATUS 23

// A transaction was ended by comity_transaction_resolve. Fields: call, id, outcome. Last.
#define COMITY_EVENT_TRANSACTION_RESOLVED 24

// Every node was searched for what transactions have left over. So much was removed, or is being
// ended. Fields: call, count, unreadable. Last.
#define COMITY_EVENT_TRANSACTION_SWEPT 25

// A node can serve: its version and policy, empty where it would not tell. Fields: call, node,
// version, eviction_policy. Last.
#define COMITY_EVENT_NODE_CHECKED 26

// A call came to nothing. Fields: call, node, error. Last.
#define COMITY_EVENT_CALL_FAILED 27

// The push connection is subscribed: waiters are told of their grants. Fields: node.
#define COMITY_EVENT_PUSH_READY 28

// There is no push connection for now: waiters ask again and again instead. Fields: node, error.
#define COMITY_EVENT_PUSH_UNAVAILABLE 29

// Everything that comity_close began is done, or its time is over.
#define COMITY_EVENT_CLOSED 30

// The transaction is committed, and fewer of a node's replicas are known to have it than was asked
// for: a failover of the node could lose its part. One for each such node, ahead of
// COMITY_EVENT_TRANSACTION_COMMITTED. Fields: transaction, id, node, replicas, error.
#define COMITY_EVENT_TRANSACTION_NOT_DURABLE 31

// The server of a node does not serve: no connection to it can be made, the one there was broke, a
// command was not answered in time, or the server refuses to connect or to do anything, as while
// it loads. The error says why. Once for each outage, however many commands fail for it;
// COMITY_EVENT_NODE_UP is its end. What waits for a lock there waits on, within its own wait.
// Fields: node, error, count.
#define COMITY_EVENT_NODE_DOWN 32

// The server of a node serves again, after a COMITY_EVENT_NODE_DOWN: a refusal is none. Nobody
// asks it for that only: it shows when it is next used. Fields: node, outage_us.
#define COMITY_EVENT_NODE_UP 33

// The renewal that comity_lock_renew asked for was refused, or not confirmed in time: the lease is
// as it was, unless the server has executed one that is not answered. Renewals by themselves go
// on, with the length there was before. Fields: lock, name, error.
#define COMITY_EVENT_LOCK_NOT_RENEWED 34

// It is applied, or will be.
#define COMITY_OUTCOME_COMMITTED 1

// It will never be applied.
#define COMITY_OUTCOME_ABORTED 2

// It is not decided yet.
#define COMITY_OUTCOME_PENDING 3

// Nothing of it is recorded at its primary: it may still come. Where its id does not tell until
// when, as one of an earlier version, it may also be over for long.
#define COMITY_OUTCOME_UNHEARD 4

// It is over; how is not known any more.
#define COMITY_OUTCOME_FORGOTTEN 5

// A commit is told when plain readers see it, too: after two round trips.
#define COMITY_ACK_APPLIED 1

// A commit is told when it is certain: after one round trip. Plain readers see it a little later.
#define COMITY_ACK_DECIDED 2

// No decision of an operator's: a transaction whose primary does not answer is left as it is.
#define COMITY_HEURISTIC_NONE 0

// What is prepared is applied.
#define COMITY_HEURISTIC_COMMIT 1

// What is prepared is dropped.
#define COMITY_HEURISTIC_ABORT 2

// Flushed at once; what is counted during a round trip shares the next one.
#define COMITY_COUNTER_SYNC 1

// Flushed after max_delay_us, or earlier where much is pending.
#define COMITY_COUNTER_BATCHED 2

// As batched without a bound; besides, what is pending is told in COMITY_EVENT_COUNTER_JOURNAL, to be
// written down. A unit is safe when either is done.
#define COMITY_COUNTER_JOURNALED 3

// A value as recent as the call, for comity_counter_read.
#define COMITY_FRESH UINT64_MAX

// How many bytes the decimal text of any comity_int128 takes, its end included.
#define COMITY_INT128_TEXT 41

// How many bytes the id of a replica has.
#define COMITY_REPLICA_ID 16

// The most words of a command for the embedded store.
#define COMITY_MEMORY_MAX_WORDS 1048576

// One connection to one node for one route of its commands: which reply belongs to which command, what
// has left, and when to give up. It does no I/O. One thread at a time may use it.
typedef struct comity_connection comity_connection;

// The whole border of the core: verbs and inputs go in, commands and events come out. It does no I/O
// and reads no clock. One thread at a time may use it.
typedef struct comity_coordinator comity_coordinator;

// What a URL says of a server: its address, which can be read, and the login, which stays inside. Any
// number of connections are made from it; after that it may be freed.
typedef struct comity_endpoint comity_endpoint;

// A small Redis in this process, for programs without a server and for tests. It executes the very
// commands that coordinators emit, and many of Redis' own. Any number of coordinators may share one.
// One thread at a time may use it.
typedef struct comity_memory comity_memory;

// One replica of a counter that lives nowhere but in its replicas, which exchange bytes. One thread
// at a time may use it.
typedef struct comity_pn_counter comity_pn_counter;

// A consistent-hash ring. It never changes, so unlike other handles any number of threads may
// read it at once.
typedef struct comity_ring comity_ring;

// What a transaction is to do: commands, and what has to be so for them to be applied. It is no
// running transaction, and may be executed any number of times, by any coordinator. One thread at a
// time may use it.
typedef struct comity_transaction comity_transaction;

// A member of a ring.
typedef struct comity_node_spec {
  // Identity, 1 to 256 bytes, unique within a ring.
  const void *id;
  // How many bytes the id has.
  size_t id_len;
  // Share of the keys relative to the other nodes; 0 = listed, but given no keys.
  uint32_t weight;
} comity_node_spec;

// How a coordinator is set up. comity_config_init writes the defaults, in which nodes are missing.
typedef struct comity_config {
  // Written by comity_config_init.
  size_t struct_size;
  // The servers by stable id, in any order; at least one with a weight.
  const struct comity_node_spec *nodes;
  // How many nodes, 1 to 65536.
  size_t node_count;
  // Stands in front of every key and channel: printable ASCII without braces, at most 128 bytes.
  // "comity:" by default.
  const void *prefix;
  // How many bytes the prefix has.
  size_t prefix_len;
  // How long a verb tries to reach a server before it fails, 10 ms to 60 s in microseconds;
  // 5 s by default.
  uint64_t timeout_us;
  // 1 = grants are received by push, the default; 0 = waiters ask, the first in line every 50 to
  // 500 ms.
  uint32_t push;
  // Zero.
  uint32_t reserved;
} comity_config;

// Borrowed bytes. No zero byte ends them.
typedef struct comity_bytes {
  // The first byte; NULL where there is nothing, which may be something else than no bytes.
  const char *data;
  // How many bytes.
  size_t len;
} comity_bytes;

// One Redis command: send it once, before its deadline, and report its reply or failure.
typedef struct comity_command {
  // Comes back with the reply or the failure. Never used twice by one coordinator.
  uint64_t request;
  // The lock, counter, call or transaction that waits for it; 0 = nobody waits: it may be left to
  // a thread of the host's own.
  uint64_t origin;
  // When to give up on it, connecting included: microseconds on the host's clock.
  uint64_t deadline_us;
  // The number of the node it is for: see comity_node_id.
  uint32_t node;
  // A COMITY_ROUTE_ constant.
  uint32_t route;
  // The words, in the form that redisAppendCommandArgv(context, argc, argv, argvlen) takes.
  const char **argv;
  // How long each word is. A word may hold any bytes, and no zero byte ends it.
  const size_t *argvlen;
  // How many words, the name of the command being the first.
  int argc;
} comity_command;

// A reply in RESP2 or RESP3. The kinds have the numbers of hiredis' REDIS_REPLY_ constants, and the
// fields the meaning of those of its redisReply. Fields that are not named with the kind are not
// read.
typedef struct comity_reply {
  // A COMITY_REPLY_ constant.
  uint32_t kind;
  // The number.
  int64_t integer;
  // The first of the bytes; may be NULL if len is 0.
  const char *bytes;
  // How many bytes.
  size_t len;
  // The first of the elements, which lie side by side; may be NULL if count is 0.
  const struct comity_reply *elements;
  // How many elements; of a map, keys and values together.
  size_t count;
} comity_reply;

// What to connect to. The texts end with a zero byte.
typedef struct comity_address {
  // A COMITY_ADDRESS_ constant.
  uint32_t kind;
  // The port, 1 to 65535; 0 for a socket of this machine.
  uint32_t port;
  // A name or an address, one of IPv6 without its brackets; NULL for a socket of this machine.
  const char *host;
  // The socket's file; NULL for TCP and TLS.
  const char *path;
  // What a ring calls the server where it has no other id: "host:port", or the path.
  const char *id;
} comity_address;

// What was counted up, and what was counted down: two numbers that only rise. The value is the
// first less the second.
typedef struct comity_tally {
  // All increments.
  uint64_t increments;
  // All decrements.
  uint64_t decrements;
} comity_tally;

// One who holds a lock.
typedef struct comity_holder {
  // The id of the request: 22 characters.
  struct comity_bytes id;
  // The owner's label.
  struct comity_bytes label;
  // The fencing token.
  uint64_t fence;
  // When the lease ends, on the server's clock, in microseconds.
  uint64_t expiry_us;
  // The weight held.
  uint64_t weight;
} comity_holder;

// One who waits for a lock.
typedef struct comity_waiter {
  // The id of the request: 22 characters.
  struct comity_bytes id;
  // The owner's label.
  struct comity_bytes label;
} comity_waiter;

// Who holds a lock and who waits for it.
typedef struct comity_inspection {
  // The server's clock, in microseconds.
  uint64_t now_us;
  // How much weight may be held at once, 0 while nobody holds or waits.
  uint64_t capacity;
  // How many hold it.
  uint64_t holders_total;
  // How many wait.
  uint64_t waiters_total;
  // The holders, side by side.
  const struct comity_holder *holders;
  // How many holders are told: 256 at most.
  size_t holder_count;
  // The waiters in the order of the queue, side by side.
  const struct comity_waiter *waiters;
  // How many waiters are told: 256 at most.
  size_t waiter_count;
} comity_inspection;

// A signed number of 128 bits in two's complement: high * 2^64 + low.
typedef struct comity_int128 {
  // The lower 64 bits.
  uint64_t low;
  // The upper 64 bits, with the sign.
  int64_t high;
} comity_int128;

// What a counter stands at, as far as is known here.
typedef struct comity_counter_reading {
  // The value: what the server last told of the others, and all that was counted here. See
  // comity_int128_to_int64 and comity_int128_to_text.
  struct comity_int128 value;
  // How old the server's part is at most, in microseconds; COMITY_NONE before its first answer,
  // when value is only what was counted here.
  uint64_t staleness_us;
  // Up to where the server's part goes: see comity_counter_read.
  uint64_t token;
  // How many resets there were by then.
  uint64_t epoch;
  // What was counted here and is not acknowledged.
  struct comity_tally pending;
  // How long the oldest of it has waited, at most, in microseconds; COMITY_NONE if nothing waits.
  uint64_t oldest_pending_us;
} comity_counter_reading;

// What an audit of a counter found.
typedef struct comity_audit {
  // How many slots are in use.
  uint64_t live;
  // How many are retired.
  uint64_t retired;
  // How many were retired by this audit, because nobody had raised them for long.
  uint64_t pruned;
  // 1 = the sum of all slots was compared with the totals; 0 = others kept counting.
  uint64_t compared;
  // By how much the value was wrong, and was corrected.
  struct comity_int128 corrected;
} comity_audit;

// What happened. The COMITY_EVENT_ constant of its kind names the fields that say something, and
// whatever has a lock or a counter has its name; the others are 0, NULL or COMITY_NONE. An event that is marked last is the last of its lock,
// transaction or call. A later library has more fields at the end, and more kinds: let go what you do
// not know.
typedef struct comity_event {
  // A COMITY_EVENT_ constant.
  uint32_t kind;
  // Why: a COMITY_ERROR_ constant, or COMITY_OK where nothing is wrong.
  uint32_t error;
  // The words of the error, UTF-8 with a zero byte behind. Never NULL.
  const char *message;
  // The lock, as comity_lock_acquire gave it.
  uint64_t lock;
  // The call, as the function that asked gave it.
  uint64_t call;
  // The counter, as comity_counter_open gave it.
  uint64_t counter;
  // The transaction, as comity_transaction_execute gave it.
  uint64_t transaction;
  // The number of the node, of the error too where it is about one; COMITY_NO_NODE otherwise.
  uint32_t node;
  // A COMITY_OUTCOME_ constant.
  uint32_t outcome;
  // 1 = the fence is at least as high as every one seen before.
  uint32_t accepted;
  // 1 = plain readers see all of the transaction by now.
  uint32_t applied;
  // The fencing token.
  uint64_t fence;
  // Until when the lock is certainly held, unless it is renewed: microseconds on the host's clock.
  uint64_t valid_until_us;
  // How many are ahead in the queue.
  uint64_t rank;
  // How many resets of the counter there were, this one included.
  uint64_t epoch;
  // How many.
  uint64_t count;
  // Increments and decrements.
  struct comity_tally units;
  // The label of the holder in the way, no bytes where it has none; NULL if it is not known.
  struct comity_bytes holder;
  // The transaction's id, as text; no bytes where it had none yet.
  struct comity_bytes id;
  // For comity_counter_restore.
  struct comity_bytes data;
  // The server's version, no bytes where it would not tell.
  struct comity_bytes version;
  // What the server evicts when memory is full, no bytes where it would not tell. Anything but
  // noeviction can evict a lock, which then has two holders.
  struct comity_bytes eviction_policy;
  // Who holds a lock and who waits for it.
  const struct comity_inspection *inspection;
  // What a counter stands at.
  const struct comity_counter_reading *reading;
  // What an audit found.
  const struct comity_audit *audit;
  // One reply for each command of the transaction; NULL where another client has committed it and
  // they are gone, or where an answer was lost that was too long to be recorded, over 16 KiB.
  const struct comity_reply *replies;
  // How many replies.
  size_t reply_count;
  // So many replicas are known to have all of the transaction: of each of its servers, or of node;
  // COMITY_NONE where they were not waited for.
  uint64_t replicas;
  // The name of the lock or the counter; NULL where there is neither.
  struct comity_bytes name;
  // How many records of transactions nobody can read, as after an accident. They were left as they
  // are.
  uint64_t unreadable;
  // From the first sign of a server's outage to its first answer.
  uint64_t outage_us;
} comity_event;

// How a lock is acquired and kept. comity_lock_options_init writes the defaults.
typedef struct comity_lock_options {
  // Written by comity_lock_options_init.
  size_t struct_size;
  // How long the lease lasts without renewal, 50 ms to 24 h in microseconds; 30 s by default.
  uint64_t ttl_us;
  // How long to wait for the grant, in microseconds; 0 = try once, COMITY_NONE = as long as it
  // takes, the default.
  uint64_t wait_us;
  // How long after the grant renewals end, so that the lease ends soon after, in microseconds;
  // COMITY_NONE = never, the default.
  uint64_t max_hold_us;
  // Shown to others as the owner, at most 256 bytes; none by default.
  const void *label;
  // How many bytes the label has.
  size_t label_len;
  // 1 = the lease is renewed by itself while it is held, the default; 0 = it is not.
  uint32_t renew;
  // Zero.
  uint32_t reserved;
} comity_lock_options;

// How a transaction is executed. comity_transaction_options_init writes the defaults.
typedef struct comity_transaction_options {
  // Written by comity_transaction_options_init.
  size_t struct_size;
  // How long it may take until it is decided, 10 ms to 60 s in microseconds; COMITY_NONE = the
  // timeout of the coordinator, the default.
  uint64_t timeout_us;
  // How long after its vote a server's keys stay locked before other clients may end the
  // transaction, 10 ms to 60 s in microseconds; COMITY_NONE = the timeout of the coordinator, the
  // default.
  uint64_t patience_us;
  // When a commit is told: a COMITY_ACK_ constant, COMITY_ACK_APPLIED by default.
  uint32_t ack;
  // The most elements of a collection that it copies; 10000 by default.
  uint32_t copy_elements;
  // The most bytes of a value that it copies; 1048576 by default.
  uint32_t copy_bytes;
  // How many replicas of each server are to have it before it is told, from 1 to 64, with
  // COMITY_ACK_APPLIED; 0 = none are waited for, the default. Where too few have it in time it is
  // committed all the same, and COMITY_EVENT_TRANSACTION_NOT_DURABLE says so.
  uint32_t replicas;
  // How long to wait for them once it is applied, 10 ms to 60 s in microseconds; 1000000 by
  // default.
  uint64_t replicas_timeout_us;
} comity_transaction_options;

// How a counter is kept. comity_counter_options_init writes the defaults.
typedef struct comity_counter_options {
  // Written by comity_counter_options_init.
  size_t struct_size;
  // The longest that a unit waits for its flush, at most 1 h in microseconds; 10 ms by default. Not
  // read with COMITY_COUNTER_SYNC.
  uint64_t max_delay_us;
  // The most units that may be unacknowledged, at least 2: half of them flush at once, and an
  // addition beyond them is refused. COMITY_NONE = no bound, the default. Read with
  // COMITY_COUNTER_BATCHED only.
  uint64_t max_units;
  // When what was counted is safe: COMITY_COUNTER_SYNC, COMITY_COUNTER_BATCHED, which is the default,
  // or COMITY_COUNTER_JOURNALED.
  uint32_t durability;
  // 1 = the host keeps the numbers itself: see comity_counter_advance. 0 by default.
  uint32_t collected;
} comity_counter_options;

// What one replica has counted.
typedef struct comity_pn_slot {
  // The id of the replica.
  uint8_t replica[COMITY_REPLICA_ID];
  // What it has counted.
  struct comity_tally tally;
} comity_pn_slot;

// What two rings must have in common, besides their nodes, to place keys alike.
// comity_ring_options_init writes the defaults.
typedef struct comity_ring_options {
  // Written by comity_ring_options_init.
  size_t struct_size;
  // Seed of the hash of points and keys; 0 by default.
  uint64_t seed;
  // Points of a node per unit of its weight, at least 1; 512 by default. More points spread the
  // keys more evenly and take more memory, 20 to 24 bytes each.
  uint32_t points_per_weight;
  // Zero.
  uint32_t reserved;
} comity_ring_options;

// A message that was published.
typedef struct comity_message {
  // Where to: the inbox of a coordinator, see comity_inbox.
  struct comity_bytes channel;
  // The message.
  struct comity_bytes payload;
} comity_message;

// Counters since the coordinator was made. They only rise. A later library has more of them at the
// end.
typedef struct comity_statistics {
  // Locks asked for.
  uint64_t lock_acquires;
  // Locks that were not free and were waited for.
  uint64_t lock_queued;
  // Locks granted.
  uint64_t lock_grants;
  // Leases made longer.
  uint64_t lock_renewals;
  // Locks given back.
  uint64_t lock_releases;
  // Leases that ended without a release.
  uint64_t lock_losses;
  // Requests for locks that failed.
  uint64_t lock_failures;
  // Counters opened.
  uint64_t counter_opens;
  // Flushes of counters sent.
  uint64_t counter_flushes;
  // Times that units of a counter were reported lost.
  uint64_t counter_losses;
  // Times that a server was found to have lost acknowledged units of a counter.
  uint64_t counter_regressions;
  // Transactions begun.
  uint64_t transactions;
  // Transactions committed.
  uint64_t transaction_commits;
  // Transactions that were not applied.
  uint64_t transaction_failures;
  // Times that a transaction was aborted because it met a lock, and began again by itself.
  uint64_t transaction_retries;
  // Transactions whose outcome was not known in time.
  uint64_t transaction_doubts;
  // Times that a server did not have what a transaction had decided.
  uint64_t transaction_damages;
  // Times that too few replicas of a server were known to have a transaction.
  uint64_t transaction_not_durable;
  // Transactions of other clients that were ended from here.
  uint64_t transaction_recoveries;
  // Records of transactions that nobody can read, and that sweeps have left.
  uint64_t transaction_unreadable;
  // Commands rendered.
  uint64_t commands;
  // Replies to them.
  uint64_t replies;
  // Commands that were not sent.
  uint64_t not_sent;
  // Commands of which it is not known whether they were executed.
  uint64_t outcome_unknown;
  // Error replies.
  uint64_t refusals;
  // Replies, failures and messages that nobody waited for.
  uint64_t ignored;
  // Grants received by push.
  uint64_t pushes;
  // Scripts that had to be sent whole.
  uint64_t scripts_sent;
  // Fences, in messages and answers, more than an hour beyond the server's clock: they are not kept
  // as the least of those to come.
  uint64_t excessive_fences;
} comity_statistics;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, for example "0.1.0". Never NULL, valid for ever.
const char *comity_version(void);

// What was wrong with the last failed call of this thread, as UTF-8; empty if none failed yet.
// Never NULL, valid until the next call of this thread that fails.
const char *comity_last_error(void);

// Makes a message the last error of this thread and returns the code, so that an adapter's own functions
// fail as those of the library do. The message ends with a zero byte and is copied; NULL is an empty one.
//
// # Safety
//
// The message is NULL or ends with a zero byte.
uint32_t comity_fail(uint32_t code,
                     const char *message);

// The name of an error, for example "LockTimeout", for logs; "unknown" for a number that is none. Never
// NULL, valid for ever.
const char *comity_error_name(uint32_t code);

// Writes the defaults to *config. struct_size is sizeof(comity_config).
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
uint32_t comity_config_init(comity_config *config, size_t struct_size);

// Makes a coordinator that has sent nothing yet. What config points to is copied. entropy is
// entropy_len bytes, exactly 32, of a cryptographic random source such as getrandom(2), never used
// twice. now_us is the host's clock: see the head of the header.
//
// Returns COMITY_OK and writes *out, to be freed with comity_coordinator_free; or
// COMITY_ERROR_INVALID_ARGUMENT or COMITY_ERROR_LIMIT_EXCEEDED for NULL, or for a node, prefix,
// timeout or length that is out of range; or COMITY_ERROR_UNSUPPORTED for options of a later
// version.
uint32_t comity_coordinator_new(const comity_config *config,
                                const void *entropy,
                                size_t entropy_len,
                                uint64_t now_us,
                                comity_coordinator **out);

// Frees a coordinator and all that it has lent. NULL is fine. Nothing is sent: comity_close is what
// gives back locks and flushes counters.
void comity_coordinator_free(comity_coordinator *coordinator);

// Begins to end everything: gives back what is held, withdraws what waits, flushes and retires what
// is counted. Every lock has its last event. Every later verb is COMITY_ERROR_CLOSED; go on with
// inputs and outputs until
// COMITY_EVENT_CLOSED, which comes within the timeout of the config. Twice is harmless.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_close(comity_coordinator *coordinator, uint64_t now_us);

// Writes when to call comity_handle_timeout, once what has arrived by then is handed in, to *out:
// microseconds on the host's clock, or COMITY_NONE for never. It changes with every call, so ask after
// each.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_next_deadline(const comity_coordinator *coordinator,
                              uint64_t *out);

// Writes how many nodes the coordinator has to *out. They have the numbers from 0 on, in the order
// of their ids by bytes.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_node_count(const comity_coordinator *coordinator, uint32_t *out);

// Writes the id of a node, as it was given, to *out, valid until the coordinator is freed. In the ring and in
// ids of transactions, a single node is "0".
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a number that no node has.
uint32_t comity_node_id(const comity_coordinator *coordinator,
                        uint32_t node,
                        comity_bytes *out);

// Writes the channel on which this coordinator is told of its grants to *out, valid until the
// coordinator is freed.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_inbox(const comity_coordinator *coordinator, comity_bytes *out);

// Writes the ring that places keys on the coordinator's nodes to *out, to be freed with
// comity_ring_free; it outlives the coordinator.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_coordinator_ring(const comity_coordinator *coordinator,
                                 comity_ring **out);

// Asks every node what it can do. Each call leads to COMITY_EVENT_NODE_CHECKED or
// COMITY_EVENT_CALL_FAILED. Writes the numbers of the calls, in the order of the nodes, to calls and
// how many these are to *count. calls may be NULL, and so may count; otherwise capacity has to be the
// number of nodes at least.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or too little room,
// COMITY_ERROR_LIMIT_EXCEEDED, or COMITY_ERROR_CLOSED: then nothing is asked.
uint32_t comity_check_nodes(comity_coordinator *coordinator,
                            uint64_t now_us,
                            uint64_t *calls,
                            size_t capacity,
                            size_t *count);

// Writes the next command to send, of any node, to *out, or NULL if there is none. It is valid
// until the next call of comity_poll_command or comity_poll_command_for on the handle. What is too
// late to be sent is not given out, which may be the end of what it was for: poll events after
// commands.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_poll_command(comity_coordinator *coordinator,
                             const comity_command **out);

// As comity_poll_command, for one node: all that are ready for it should leave in one write. A node
// that does not exist has none.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_poll_command_for(comity_coordinator *coordinator,
                                 uint32_t node,
                                 const comity_command **out);

// Takes the reply to a request. The reply is copied. One to an unknown or finished request is
// ignored, so duplicates and stragglers are harmless.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, a kind that does not exist, or a map
// with a key that has no value; or COMITY_ERROR_LIMIT_EXCEEDED for a reply that is deeper or has more
// elements than COMITY_REPLY_MAX_DEPTH and COMITY_REPLY_MAX_ELEMENTS. Then the request still waits:
// report COMITY_FAILURE_OUTCOME_UNKNOWN.
uint32_t comity_handle_reply(comity_coordinator *coordinator,
                             uint64_t request,
                             const comity_reply *reply,
                             uint64_t now_us);

// There is no reply to a request, and there will be none. failure is a COMITY_FAILURE_ constant. An
// unknown or finished request is ignored.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another failure.
uint32_t comity_handle_failure(comity_coordinator *coordinator,
                               uint64_t request,
                               uint32_t failure,
                               uint64_t now_us);

// Something happened to the connections to a node. change is a COMITY_NODE_ constant. A node that
// does not exist is ignored.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another change.
uint32_t comity_handle_node(comity_coordinator *coordinator,
                            uint32_t node,
                            uint32_t change,
                            uint64_t now_us);

// No connection to a node can be made, for a reason in the host's words ("connection refused"), as
// text: the message of every COMITY_ERROR_UNREACHABLE of the node then has them, until the node is
// connected or answers. Told before the requests that fail for it; of a longer text the first 512 bytes
// count. A node that does not exist is ignored.
//
// lasting is 1 if waiting does not help, as for a name that does not exist or a certificate that is not
// trusted: what fails for it then ends at once, and not at its time. It is 0 otherwise.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another lasting.
uint32_t comity_handle_unreachable(comity_coordinator *coordinator,
                                   uint32_t node,
                                   const void *reason,
                                   size_t reason_len,
                                   uint32_t lasting,
                                   uint64_t now_us);

// The server of a node refuses a connection with this error reply ("WRONGPASS ...", "ERR max number of
// clients reached"), in its set-up: the message of every COMITY_ERROR_SERVER_REFUSED of what fails for it
// then has its words, until the node is connected or answers. Told before the requests that fail for it
// as COMITY_FAILURE_NOT_SENT. Whether waiting helps is known here: what fails for it ends at once where
// it does not. A node that does not exist is ignored.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_handle_refused(comity_coordinator *coordinator,
                               uint32_t node,
                               const void *text,
                               size_t text_len,
                               uint64_t now_us);

// Takes a message from the push connection of a node. One that is not for this coordinator is
// ignored. The bytes are copied.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_handle_message(comity_coordinator *coordinator,
                               uint32_t node,
                               const void *channel,
                               size_t channel_len,
                               const void *payload,
                               size_t payload_len,
                               uint64_t now_us);

// The host slept or its clock jumped: every lease is unproven until its server confirms it.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_handle_clock_gap(comity_coordinator *coordinator, uint64_t now_us);

// Time has passed: what was due by now_us is done, and nothing else does that. After a stall hand in
// first what has arrived, and nothing that was answered in time is taken for late. Early, late or
// twice is harmless.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_handle_timeout(comity_coordinator *coordinator,
                               uint64_t now_us);

// Makes a connection to a node of a coordinator for the commands of one route, a COMITY_ROUTE_ constant,
// and for the messages that follow where that is COMITY_ROUTE_SUBSCRIBE. endpoint is what to say first (a
// password, a database; where there is neither, whether the server is there), which is copied; NULL for
// nothing, as where the host has said it. There need not be a stream yet: commands may be queued at once,
// and none of them leaves before the server has let the connection in.
//
// The host, once it has a stream, calls comity_connection_connected; writes what comity_connection_transmit
// gives and says so to comity_connection_transmitted; hands what it reads to comity_connection_receive;
// calls comity_connection_handle_timeout at comity_connection_deadline; and comity_connection_end when the
// stream ends.
//
// Returns COMITY_OK and writes *out, to be freed with comity_connection_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL or another route; or COMITY_ERROR_LIMIT_EXCEEDED without memory.
uint32_t comity_connection_new(const comity_endpoint *endpoint,
                               uint32_t node,
                               uint32_t route,
                               uint64_t now_us,
                               comity_connection **out);

// Frees a connection and what it has lent. NULL is fine. Nobody is told: see comity_connection_end.
void comity_connection_free(comity_connection *connection);

// The stream is made: from now on there may be bytes to write. The coordinator is told that the node is
// connected (COMITY_NODE_CONNECTED), at once or as soon as the server has let the connection in. Twice is
// harmless.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_INVALID_STATE for a
// connection that has ended.
uint32_t comity_connection_connected(comity_connection *connection,
                                     comity_coordinator *coordinator,
                                     uint64_t now_us);

// Writes whether the server has let the connection in to *out, 1 or 0: its commands leave then.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_connection_is_ready(const comity_connection *connection, uint32_t *out);

// Writes how many commands have neither a reply nor a failure to *out.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_connection_outstanding(const comity_connection *connection, size_t *out);

// Writes when to call comity_connection_handle_timeout, once what has arrived by then is handed in, to
// *out: microseconds on the host's clock, or COMITY_NONE for never. It changes with every call, so ask
// after each.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_connection_deadline(const comity_connection *connection,
                                    uint64_t *out);

// Time has passed: a connection with a command that was not answered by its deadline ends, as by
// comity_connection_end, and so does one for messages that does not answer whether it lives. It is asked
// after ten quiet seconds, which is to be written. Early or twice is harmless. Writes to *out whether the
// connection goes on, 1, or has ended, 0: then close its stream.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_connection_handle_timeout(comity_connection *connection,
                                          comity_coordinator *coordinator,
                                          uint64_t now_us,
                                          uint32_t *out);

// Ends a connection, for a reason in the host's words ("connection refused"), as text: its stream is
// closed, or could not be made. Tells the coordinator of each command without a reply what is certain:
// COMITY_FAILURE_NOT_SENT where not a byte of it can have left, COMITY_FAILURE_OUTCOME_UNKNOWN otherwise;
// before that why, as comity_handle_unreachable does, with its lasting; and after it that the connection
// is lost (COMITY_NODE_LOST, COMITY_NODE_PUSH_LOST), if it was told that it was there. No byte of
// comity_connection_transmit may be written any more. Twice is harmless, and the first reason holds.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another lasting.
uint32_t comity_connection_end(comity_connection *connection,
                               comity_coordinator *coordinator,
                               const void *reason,
                               size_t reason_len,
                               uint32_t lasting,
                               uint64_t now_us);

// Writes why a connection has ended to *out, for logs: the host's words, or the server's where it has
// refused the connection, as messages have them; empty if it has not. It ends with a zero byte and
// is valid until the connection is freed.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_connection_why(const comity_connection *connection,
                               const char **out);

// Writes the bytes to be written next to *out, valid until the next call of the handle that may change
// it; none if there is nothing to write, as before the stream is made and after the connection's end.
// All that is ready should leave in one write.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_connection_transmit(const comity_connection *connection,
                                    comity_bytes *out);

// Of the bytes of comity_connection_transmit count may be on their way from here on, although they do not
// count as written and come again: they were given to a layer that does not say, such as TLS. Called before
// they are given. A command that has such bytes has failed, if it fails, with an outcome that is unknown.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or more bytes than there are.
uint32_t comity_connection_committed(comity_connection *connection,
                                     size_t count);

// Of the bytes of comity_connection_transmit count were written.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or more bytes than there are.
uint32_t comity_connection_transmitted(comity_connection *connection, size_t count);

// Takes what was read from the stream, in pieces of any size, and tells the coordinator what it is: replies,
// messages, that the server has let the connection in or refuses it. The bytes are copied where they are
// kept. Replies are read within the limits of RESP: a string has 512 MiB at most, an array or set 1048576
// elements, all of a reply 1 GiB, and nothing lies more than 32 deep.
//
// Where the server refuses, or says what is no reply or none to anything that was asked, the connection
// ends, as by comity_connection_end. So does one whose server takes no writes any more (READONLY), once
// nothing is outstanding: a new one may lead to another server. Writes to *out whether the connection goes
// on, 1, or has ended, 0: then close its stream. To one that has ended before nothing happens.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_INVALID_STATE before
// comity_connection_connected: then nothing is taken.
uint32_t comity_connection_receive(comity_connection *connection,
                                   comity_coordinator *coordinator,
                                   const void *data,
                                   size_t data_len,
                                   uint64_t now_us,
                                   uint32_t *out);

// Queues a command behind those there are; its words are copied. comity_connection_take does the same with
// all that are ready.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, no words, or a command for another node or
// route; or COMITY_ERROR_LIMIT_EXCEEDED for more than COMITY_COMMAND_MAX_WORDS; or
// COMITY_ERROR_INVALID_STATE for a connection that has ended. Then it is not queued: report it with
// comity_handle_failure.
uint32_t comity_connection_send(comity_connection *connection,
                                const comity_command *command);

// Queues all commands that are ready for a node, each on the connection for its route. connections are
// count of them, all to the node and each for a route of its own. What is for a route without a connection
// was not sent, and so was what is late by now_us: the coordinator is told. Call it after verbs and
// whenever something has happened; then write what each connection has. Writes to *taken how many commands
// that were, sent or not, unless it is NULL: what has failed may have led to more for other nodes.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or connections of which none, two for one
// route or some to other nodes are there; or COMITY_ERROR_INVALID_STATE if one of them has ended. Then
// nothing is queued.
uint32_t comity_connection_take(comity_coordinator *coordinator,
                                comity_connection *const *connections,
                                size_t count,
                                uint64_t now_us,
                                size_t *taken);

// Reads a URL of url_len bytes: redis://user:password@host:port/database, or rediss:// for the same over
// TLS, or unix://user:password@/path for a socket of this machine. All behind the // may be left out: the
// user, or both it and the password, which may be empty (user:@), the host (localhost), the port (6379) and
// the database (0). Behind a ? may come db, client_name and protocol (2 or 3), with & between. valkey:// and
// valkeys:// are redis:// and rediss://. Any byte may be written as % and two hexadecimal digits; in users
// and passwords / ? # @ : and % have to. An address of IPv6 may have a zone: [fe80::1%25eth0].
//
// Returns COMITY_OK and writes *out, to be freed with comity_endpoint_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL or a URL that is none. The message says which part is wrong and
// has nothing of the URL in it, for there may be a password anywhere.
uint32_t comity_endpoint_parse(const void *url,
                               size_t url_len,
                               comity_endpoint **out);

// Frees an endpoint and what it has lent. NULL is fine.
void comity_endpoint_free(comity_endpoint *endpoint);

// Writes what to connect to to *out; what it points to is valid until the endpoint is freed. Many threads
// may read an endpoint at once.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_endpoint_address(const comity_endpoint *endpoint,
                                 comity_address *out);

// Writes the next thing that happened to *out, or NULL if there is nothing. It is valid, with all
// that it points to, until the next call of comity_poll_event on the handle.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_poll_event(comity_coordinator *coordinator, const comity_event **out);

// The name of a kind of event, for example "LockGranted", for logs; "unknown" for a number that is
// none. Never NULL, valid for ever.
const char *comity_event_name(uint32_t kind);

// Writes the defaults to *options. struct_size is sizeof(comity_lock_options).
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
uint32_t comity_lock_options_init(comity_lock_options *options, size_t struct_size);

// Asks for the lock of this name, 1 to 512 bytes. options may be NULL for the defaults. Writes the
// number of the request to *lock, which the events and the other functions of the lock take. Leads to
// COMITY_EVENT_LOCK_GRANTED or COMITY_EVENT_LOCK_FAILED, by way of COMITY_EVENT_LOCK_QUEUED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_LIMIT_EXCEEDED,
// COMITY_ERROR_UNSUPPORTED or COMITY_ERROR_CLOSED: then nothing is asked.
uint32_t comity_lock_acquire(comity_coordinator *coordinator,
                             const void *name,
                             size_t name_len,
                             const comity_lock_options *options,
                             uint64_t now_us,
                             uint64_t *lock);

// Gives a lock back. Leads to COMITY_EVENT_LOCK_RELEASED, COMITY_EVENT_LOCK_LOST or
// COMITY_EVENT_LOCK_FAILED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, COMITY_ERROR_LOCK_LOST for a lease that
// has ended, as often as it is asked, COMITY_ERROR_NOT_HELD or COMITY_ERROR_CLOSED: then nothing is
// changed.
uint32_t comity_lock_release(comity_coordinator *coordinator,
                             uint64_t lock,
                             uint64_t now_us);

// Ends a request in any state, giving back what it may hold; legal after its end, too, and then a
// lease that was lost is forgotten: of those, the 65,536 latest requests are remembered. No event
// follows.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_lock_cancel(comity_coordinator *coordinator, uint64_t lock, uint64_t now_us);

// Renews a lease at once, to last ttl_us from now, or as long as before if it is COMITY_NONE. Leads
// to COMITY_EVENT_LOCK_RENEWED, COMITY_EVENT_LOCK_LOST, or within the timeout of the coordinator to
// COMITY_EVENT_LOCK_NOT_RENEWED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or a ttl out of range,
// COMITY_ERROR_LOCK_LOST for a lease that has ended, or that comity_close has given back, as often as
// it is asked, COMITY_ERROR_NOT_HELD or COMITY_ERROR_CLOSED: then nothing is changed.
uint32_t comity_lock_renew(comity_coordinator *coordinator,
                           uint64_t lock,
                           uint64_t ttl_us,
                           uint64_t now_us);

// Writes 1 to *out if the lock is certainly held at now_us, else 0.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_lock_is_held(const comity_coordinator *coordinator,
                             uint64_t lock,
                             uint64_t now_us,
                             uint32_t *out);

// Writes until when the lock is certainly held unless it is renewed to *out: microseconds on the
// host's clock, or COMITY_NONE if it is not held.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_lock_valid_until(const comity_coordinator *coordinator,
                                 uint64_t lock,
                                 uint64_t *out);

// Asks who holds the lock of this name and who waits for it. Writes the number of the call to *call.
// Leads to COMITY_EVENT_LOCK_INSPECTED or COMITY_EVENT_CALL_FAILED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_LIMIT_EXCEEDED or
// COMITY_ERROR_CLOSED: then nothing is asked.
uint32_t comity_lock_inspect(comity_coordinator *coordinator,
                             const void *name,
                             size_t name_len,
                             uint64_t now_us,
                             uint64_t *call);

// Asks the guard of a resource whether a fence, below 2^53, is at least as high as every one it has
// seen. Writes the number of the call to *call. Leads to COMITY_EVENT_FENCE_CHECKED or
// COMITY_EVENT_CALL_FAILED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_LIMIT_EXCEEDED or
// COMITY_ERROR_CLOSED: then nothing is asked.
uint32_t comity_fence_check(comity_coordinator *coordinator,
                            const void *resource,
                            size_t resource_len,
                            uint64_t fence,
                            uint64_t now_us,
                            uint64_t *call);

// Makes a transaction with nothing to do.
//
// Returns COMITY_OK and writes *out, to be freed with comity_transaction_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_transaction_new(comity_transaction **out);

// Frees a transaction; what it began goes on. NULL is fine.
void comity_transaction_free(comity_transaction *transaction);

// Takes all commands and expectations out of a transaction, so that it can be filled again.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_transaction_clear(comity_transaction *transaction);

// Adds a command: its name and its arguments, 1 to 4000 words, which are copied. argvlen may be NULL
// if each ends with a zero byte. Whether a transaction takes the command shows when it is executed.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or no words, or
// COMITY_ERROR_LIMIT_EXCEEDED: then nothing is added.
uint32_t comity_transaction_command(comity_transaction *transaction,
                                    int argc,
                                    const char **argv,
                                    const size_t *argvlen);

// Lets the transaction be applied only if a key holds this string.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_LIMIT_EXCEEDED: then
// nothing is added.
uint32_t comity_transaction_expect_value(comity_transaction *transaction,
                                         const void *key,
                                         size_t key_len,
                                         const void *value,
                                         size_t value_len);

// Lets the transaction be applied only if a key exists.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_LIMIT_EXCEEDED: then
// nothing is added.
uint32_t comity_transaction_expect_exists(comity_transaction *transaction,
                                          const void *key,
                                          size_t key_len);

// Lets the transaction be applied only if a key does not exist.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or COMITY_ERROR_LIMIT_EXCEEDED: then
// nothing is added.
uint32_t comity_transaction_expect_absent(comity_transaction *transaction,
                                          const void *key,
                                          size_t key_len);

// Lets the transaction be applied only if a read is answered as it was before. The words are those
// of a command that only reads, as for comity_transaction_command, and reply is what it was answered;
// both are copied.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL, no words or a reply that is none, or
// COMITY_ERROR_LIMIT_EXCEEDED: then nothing is added.
uint32_t comity_transaction_expect_unchanged(comity_transaction *transaction,
                                             int argc,
                                             const char **argv,
                                             const size_t *argvlen,
                                             const comity_reply *reply);

// Writes the defaults to *options. struct_size is sizeof(comity_transaction_options).
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
uint32_t comity_transaction_options_init(comity_transaction_options *options,
                                         size_t struct_size);

// Executes the commands of a transaction, all or none, if all its expectations are met. What it is to
// do is copied. options may be NULL for the defaults. Writes the number of this execution to *number,
// which the events and comity_transaction_cancel take. Leads to COMITY_EVENT_TRANSACTION_COMMITTED,
// COMITY_EVENT_TRANSACTION_FAILED or COMITY_EVENT_TRANSACTION_UNKNOWN.
//
// Returns COMITY_OK; or COMITY_ERROR_UNSUPPORTED for a command that no transaction takes, for one whose
// keys are on two nodes, and for options of a later version; COMITY_ERROR_INVALID_ARGUMENT for NULL,
// wrong arguments, and nothing to do; COMITY_ERROR_LIMIT_EXCEEDED or COMITY_ERROR_CLOSED: then nothing
// is sent.
uint32_t comity_transaction_execute(comity_coordinator *coordinator,
                                    const comity_transaction *transaction,
                                    const comity_transaction_options *options,
                                    uint64_t now_us,
                                    uint64_t *number);

// Gives the execution of a transaction up, unless it is decided: its end is told all the same.
// Unknown and ended ones are ignored.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_transaction_cancel(comity_coordinator *coordinator,
                                   uint64_t number,
                                   uint64_t now_us);

// Asks what the primary says of a transaction, by its id as text: that of an event. Writes the number
// of the call to *call. Leads to COMITY_EVENT_TRANSACTION_STATUS or COMITY_EVENT_CALL_FAILED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL and for what is no such text,
// COMITY_ERROR_INVALID_STATE for a node that is not known here, COMITY_ERROR_LIMIT_EXCEEDED or
// COMITY_ERROR_CLOSED: then nothing is sent.
uint32_t comity_transaction_status(comity_coordinator *coordinator,
                                   const void *id,
                                   size_t id_len,
                                   uint64_t now_us,
                                   uint64_t *call);

// Ends a transaction whose client does not: commits it if all have voted for it, and aborts it
// otherwise, even if its client lives or has not sent anything yet: what comes then is refused. One of
// which nothing is recorded stays as it is, COMITY_OUTCOME_UNHEARD, where its id does not tell until when
// something may come. heuristic is a COMITY_HEURISTIC_ constant: what an operator
// decides for a transaction whose primary is gone for good. It may be the contrary of what the primary
// had decided: COMITY_EVENT_TRANSACTION_DAMAGED names each node that has then changed its keys, or
// dropped the change, against what the votes that are left come to. Writes the number of the call to
// *call. Leads to COMITY_EVENT_TRANSACTION_RESOLVED or COMITY_EVENT_CALL_FAILED.
//
// Returns as comity_transaction_status, or COMITY_ERROR_INVALID_ARGUMENT for another heuristic.
uint32_t comity_transaction_resolve(comity_coordinator *coordinator,
                                    const void *id,
                                    size_t id_len,
                                    uint32_t heuristic,
                                    uint64_t now_us,
                                    uint64_t *call);

// Removes what transactions have left over on every node: locks of clients that vanished, by ending
// their transactions, and what was kept for late commands. If shadows is 1, also what an accident
// has left beside the keys, for which each server's whole key space is searched, a thousand keys in
// each command; 0 = not. Writes the number of the call to *call. Leads to
// COMITY_EVENT_TRANSACTION_SWEPT, or to COMITY_EVENT_CALL_FAILED with the first node that could not
// be swept; all the others have been by then.
//
// Returns COMITY_OK; or COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED, or
// COMITY_ERROR_INVALID_ARGUMENT for NULL or another number: then nothing is sent.
uint32_t comity_transaction_sweep(comity_coordinator *coordinator,
                                  uint32_t shadows,
                                  uint64_t now_us,
                                  uint64_t *call);

// Writes the defaults to *options. struct_size is sizeof(comity_counter_options).
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
uint32_t comity_counter_options_init(comity_counter_options *options, size_t struct_size);

// Opens the counter of this name, 1 to 512 bytes, which begins at what the server has. Nothing is
// asked of the server before something is counted or read. options may be NULL for the defaults.
// Writes the number of the counter to *counter, which the events and the other functions of the
// counter take. It ends with COMITY_EVENT_COUNTER_CLOSED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT, COMITY_ERROR_LIMIT_EXCEEDED,
// COMITY_ERROR_UNSUPPORTED, COMITY_ERROR_CLOSED, or COMITY_ERROR_INVALID_STATE if this coordinator
// has it open: then nothing is changed.
uint32_t comity_counter_open(comity_coordinator *coordinator,
                             const void *name,
                             size_t name_len,
                             const comity_counter_options *options,
                             uint64_t now_us,
                             uint64_t *counter);

// Counts amount, up or down.
//
// Returns COMITY_OK; or COMITY_ERROR_OVERFLOW beyond 2^64 - 1 increments or decrements in one life of
// the counter, COMITY_ERROR_LIMIT_EXCEEDED beyond max_units that are not acknowledged,
// COMITY_ERROR_INVALID_STATE for a counter that is not open, COMITY_ERROR_CLOSED, or
// COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is counted.
uint32_t comity_counter_add(comity_coordinator *coordinator,
                            uint64_t counter,
                            int64_t amount,
                            uint64_t now_us);

// Writes what the counter stands at as far as is known here, at once, to *out, valid until the next
// call of comity_counter_value on the handle. Own counts are always in it.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open,
// COMITY_ERROR_OVERFLOW beyond 128 bits, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_counter_value(comity_coordinator *coordinator,
                              uint64_t counter,
                              uint64_t now_us,
                              const comity_counter_reading **out);

// As comity_counter_value, the value alone.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open,
// COMITY_ERROR_OVERFLOW beyond 64 bits, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_counter_value_int64(const comity_coordinator *coordinator,
                                    uint64_t counter,
                                    uint64_t now_us,
                                    int64_t *out);

// Flushes what is pending, ends the slot, and leads to COMITY_EVENT_COUNTER_CLOSED within the
// timeout of the config.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open,
// COMITY_ERROR_CLOSED, or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
uint32_t comity_counter_close(comity_coordinator *coordinator,
                              uint64_t counter,
                              uint64_t now_us);

// Asks for a value that is at least as recent as a token of comity_counter_reading, or as the call if
// at_least is COMITY_FRESH. Writes the number of the call to *call. Leads to COMITY_EVENT_COUNTER_READ
// or COMITY_EVENT_CALL_FAILED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED,
// or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is asked.
uint32_t comity_counter_read(comity_coordinator *coordinator,
                             uint64_t counter,
                             uint64_t at_least,
                             uint64_t now_us,
                             uint64_t *call);

// Flushes at once what was counted so far. Writes the number of the call to *call. Leads to
// COMITY_EVENT_COUNTER_FLUSHED when it is safe; or to COMITY_EVENT_CALL_FAILED, when it is kept and
// tried again unless COMITY_EVENT_COUNTER_LOST says otherwise.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED,
// or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
uint32_t comity_counter_flush(comity_coordinator *coordinator,
                              uint64_t counter,
                              uint64_t now_us,
                              uint64_t *call);

// Lets the value be zero: what reaches the server from then on counts. If epoch is not COMITY_NONE,
// only if there were so many resets before. Writes the number of the call to *call. Leads to
// COMITY_EVENT_COUNTER_RESET or COMITY_EVENT_CALL_FAILED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED,
// or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
uint32_t comity_counter_reset(comity_coordinator *coordinator,
                              uint64_t counter,
                              uint64_t epoch,
                              uint64_t now_us,
                              uint64_t *call);

// Compares the server's totals with the sum of all slots and corrects them if they differ. If
// prune_us is not COMITY_NONE, slots that nobody has raised for so many microseconds are retired:
// whoever comes back is still counted, for seven days or until a new slot needs the place. Each part of
// it has the timeout to be answered. Writes the number of the call to *call. Leads to
// COMITY_EVENT_COUNTER_AUDITED or COMITY_EVENT_CALL_FAILED.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_LIMIT_EXCEEDED, COMITY_ERROR_CLOSED,
// or COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
uint32_t comity_counter_audit(comity_coordinator *coordinator,
                              uint64_t counter,
                              uint64_t prune_us,
                              uint64_t now_us,
                              uint64_t *call);

// Tells what the host has counted in all since the opening, for a counter that is collected: a host
// that counts in its own memory, from many threads. It is to be told when something is counted and
// nothing was pending, when half of max_units were counted since it was told last, before a flush, a
// read or a close, and whenever comity_poll_counter_due asks. Lower numbers than before change
// nothing.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, COMITY_ERROR_CLOSED, or
// COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
uint32_t comity_counter_advance(comity_coordinator *coordinator,
                                uint64_t counter,
                                comity_tally tally,
                                uint64_t now_us);

// Writes the number of a collected counter whose flush is due to *counter, to be answered with
// comity_counter_collect; 0 if there is none. A host that opens collected counters calls it until it
// gives 0, before it polls commands.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_poll_counter_due(comity_coordinator *coordinator,
                                 uint64_t *counter);

// Tells what the host has counted, asked for by comity_poll_counter_due; what of it is pending is
// flushed at once. From here on the host counts as one that has told all.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE, or COMITY_ERROR_INVALID_ARGUMENT for NULL: then
// nothing is changed.
uint32_t comity_counter_collect(comity_coordinator *coordinator,
                                uint64_t counter,
                                comity_tally tally,
                                uint64_t now_us);

// Writes how many units more may be counted before an addition is refused to *out; COMITY_NONE where
// there is no bound. Who keeps a collected counter refuses beyond them.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open, or
// COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_counter_room(const comity_coordinator *coordinator,
                             uint64_t counter,
                             uint64_t *out);

// As comity_counter_open, and counts what data, of COMITY_EVENT_COUNTER_JOURNAL or of
// comity_counter_snapshot, holds of it and the server has not: once, however often and wherever the
// same bytes are restored.
//
// Returns as comity_counter_open, or COMITY_ERROR_CORRUPT for bytes that are not such, or of another
// counter: then nothing is changed.
uint32_t comity_counter_restore(comity_coordinator *coordinator,
                                const void *name,
                                size_t name_len,
                                const comity_counter_options *options,
                                const void *data,
                                size_t data_len,
                                uint64_t now_us,
                                uint64_t *counter);

// As comity_counter_restore for a counter that is open already, before it has counted or asked the
// server anything; a journaled one asks at once.
//
// Returns COMITY_OK; or COMITY_ERROR_CORRUPT, COMITY_ERROR_INVALID_ARGUMENT for NULL,
// COMITY_ERROR_INVALID_STATE for a counter that is in use or not open, or COMITY_ERROR_CLOSED: then
// nothing is changed.
uint32_t comity_counter_take_up(comity_coordinator *coordinator,
                                uint64_t counter,
                                const void *data,
                                size_t data_len,
                                uint64_t now_us);

// Counts what the replicas of a peer counter have counted, by the bytes of
// comity_pn_counter_snapshot: each unit once, however often and by whomever they are merged. It shows
// in the value when the server has it, which a comity_counter_flush waits for.
//
// Returns COMITY_OK; or COMITY_ERROR_CORRUPT for other bytes, COMITY_ERROR_LIMIT_EXCEEDED,
// COMITY_ERROR_INVALID_ARGUMENT for NULL, COMITY_ERROR_INVALID_STATE or COMITY_ERROR_CLOSED: then
// nothing is changed.
uint32_t comity_counter_merge(comity_coordinator *coordinator,
                              uint64_t counter,
                              const void *data,
                              size_t data_len,
                              uint64_t now_us);

// Writes what a later life has to take up to lose nothing to *out, for comity_counter_restore: bytes
// that are valid until the next call of comity_counter_snapshot on the handle. What was counted
// before the server has given the counter a slot is not in it.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open, or
// COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_counter_snapshot(comity_coordinator *coordinator,
                                 uint64_t counter,
                                 comity_bytes *out);

// The data of the last COMITY_EVENT_COUNTER_JOURNAL is written down.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE for a counter that is not open or has told of no
// journal, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_counter_journaled(comity_coordinator *coordinator,
                                  uint64_t counter,
                                  uint64_t now_us);

// Writes a number to *out as 64 bits.
//
// Returns COMITY_OK, COMITY_ERROR_OVERFLOW if it is beyond them, or COMITY_ERROR_INVALID_ARGUMENT
// for NULL.
uint32_t comity_int128_to_int64(comity_int128 value, int64_t *out);

// Writes a number to text as decimal digits with a zero byte behind, size bytes at most:
// COMITY_INT128_TEXT are enough for every number.
//
// Returns COMITY_OK, COMITY_ERROR_LIMIT_EXCEEDED if size is too small, or
// COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_int128_to_text(comity_int128 value, char *text, size_t size);

// Makes a replica that has counted nothing. Its id is COMITY_REPLICA_ID bytes of a cryptographic
// random source and belongs to one process: after a restart a new one merges the bytes of the old.
//
// Returns COMITY_OK and writes *out, to be freed with comity_pn_counter_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL or another length.
uint32_t comity_pn_counter_new(const void *replica,
                               size_t replica_len,
                               comity_pn_counter **out);

// Frees a replica and all that it has lent. NULL is fine.
void comity_pn_counter_free(comity_pn_counter *counter);

// Counts amount, up or down.
//
// Returns COMITY_OK; or COMITY_ERROR_OVERFLOW beyond 2^64 - 1 of this replica's increments or
// decrements, COMITY_ERROR_INVALID_STATE after a fork before comity_pn_counter_rename, or
// COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is counted.
uint32_t comity_pn_counter_add(comity_pn_counter *counter, int64_t amount);

// Counts up by the increments and down by the decrements of a tally, or neither.
//
// Returns as comity_pn_counter_add.
uint32_t comity_pn_counter_count(comity_pn_counter *counter, comity_tally tally);

// Writes the value to *out, exactly: see comity_int128_to_int64 and comity_int128_to_text.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_pn_counter_value(const comity_pn_counter *counter,
                                 comity_int128 *out);

// Takes in what another replica's bytes say.
//
// Returns COMITY_OK; or COMITY_ERROR_CORRUPT for other bytes, COMITY_ERROR_LIMIT_EXCEEDED beyond
// 65536 replicas, COMITY_ERROR_INVALID_STATE after a fork before comity_pn_counter_rename, or
// COMITY_ERROR_INVALID_ARGUMENT for NULL: then nothing is changed.
uint32_t comity_pn_counter_merge(comity_pn_counter *counter,
                                 const void *data,
                                 size_t data_len);

// Writes all that is known to *out, for comity_pn_counter_merge and comity_counter_merge: bytes that
// are valid until the next call of comity_pn_counter_snapshot on the handle.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_pn_counter_snapshot(comity_pn_counter *counter,
                                    comity_bytes *out);

// Goes on as another replica: the child of a fork has to before it counts, or each process would
// raise the other's slot. The id is as for comity_pn_counter_new.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or another length, or
// COMITY_ERROR_LIMIT_EXCEEDED where there is no room for one more: then nothing is changed.
uint32_t comity_pn_counter_rename(comity_pn_counter *counter,
                                  const void *replica,
                                  size_t replica_len);

// Writes the COMITY_REPLICA_ID bytes of this replica's id to replica.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_pn_counter_replica(const comity_pn_counter *counter, uint8_t *replica);

// Writes what each replica has counted to *out, side by side by rising id, and how many there are to
// *count. They are valid until the next call of comity_pn_counter_slots on the handle.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_pn_counter_slots(comity_pn_counter *counter,
                                 const comity_pn_slot **out,
                                 size_t *count);

// Writes the defaults to *options. struct_size is sizeof(comity_ring_options).
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or a size that no header has.
uint32_t comity_ring_options_init(comity_ring_options *options, size_t struct_size);

// Makes a ring of count nodes in any order. nodes may be NULL if count is 0: an empty ring finds no
// node. The ids are copied. options may be NULL for the defaults.
//
// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL, an empty id or one that is there twice, or an option out of
// range; or COMITY_ERROR_LIMIT_EXCEEDED for more than 65536 nodes, 4194304 points in all or 256 bytes
// in an id; or COMITY_ERROR_UNSUPPORTED for options of a later version.
uint32_t comity_ring_new(const comity_node_spec *nodes,
                         size_t count,
                         const comity_ring_options *options,
                         comity_ring **out);

// Makes a ring of the bytes that comity_ring_snapshot gave, in any language.
//
// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or COMITY_ERROR_CORRUPT for
// other bytes, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_restore(const void *data, size_t data_len, comity_ring **out);

// Frees a ring and all that it has lent. NULL is fine.
void comity_ring_free(comity_ring *ring);

// Writes the canonical bytes of a ring to *out, for comity_ring_restore: equal rings have equal bytes
// in every language. They are valid until the ring is freed.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_snapshot(const comity_ring *ring,
                              comity_bytes *out);

// Writes 64 bits to *out that stand for the nodes, their weights and the options: peers
// with equal ones place keys alike.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_fingerprint(const comity_ring *ring, uint64_t *out);

// Writes the seed and the points per weight unit that a ring was made with. Either may be NULL.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT if ring is NULL.
uint32_t comity_ring_config(const comity_ring *ring,
                            uint64_t *seed,
                            uint32_t *points_per_weight);

// Writes how many nodes a ring has to *out, those of weight 0 included.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_len(const comity_ring *ring, size_t *out);

// Writes how many points all nodes have together to *out.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_points(const comity_ring *ring, uint32_t *out);

// Writes the nodes of a ring to *out, side by side in the order of their ids by bytes, and how many
// these are to *count. A node's number is its place among them. They are valid until the ring is
// freed.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_nodes(const comity_ring *ring,
                           const comity_node_spec **out,
                           size_t *count);

// Makes a ring with one node more; ring stays as it is. Only keys that the new node owns move.
//
// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL, an empty id or one that is there, or
// COMITY_ERROR_LIMIT_EXCEEDED.
uint32_t comity_ring_with_node(const comity_ring *ring,
                               const comity_node_spec *node,
                               comity_ring **out);

// Makes a ring with one node less; ring stays as it is. Only keys that it owned move.
//
// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL or an id that is not there.
uint32_t comity_ring_without_node(const comity_ring *ring,
                                  const void *id,
                                  size_t id_len,
                                  comity_ring **out);

// Makes a ring with another weight for one node; ring stays as it is. A higher weight moves keys
// only to that node, a lower one only away from it.
//
// Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL or an id that is not there, or COMITY_ERROR_LIMIT_EXCEEDED.
uint32_t comity_ring_with_weight(const comity_ring *ring,
                                 const void *id,
                                 size_t id_len,
                                 uint32_t weight,
                                 comity_ring **out);

// Writes the share of all keys that a node owns to *out, from 0 to 1. Takes a pass over all points.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or an id that is not there.
uint32_t comity_ring_share(const comity_ring *ring,
                           const void *id,
                           size_t id_len,
                           double *out);

// Writes the share of all keys that each node owns, from 0 to 1, to out, which has room for count:
// the number of nodes. They are in the order of comity_ring_nodes and sum to 1.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL or another count.
uint32_t comity_ring_shares(const comity_ring *ring, double *out, size_t count);

// Writes the share of all keys that have owners of different ids in two rings to *out, from 0 to 1:
// what a change from one to the other moves. Between rings of different seeds it says nothing.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_moved_share(const comity_ring *ring,
                                 const comity_ring *other,
                                 double *out);

// Writes the id of the node that owns a key to *out, valid until the ring is freed; NULL data if no
// node has a weight. key may be NULL if key_len is 0.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_node(const comity_ring *ring,
                          const void *key,
                          size_t key_len,
                          comity_bytes *out);

// Writes the number of the node that owns a key to *out, its place among those of comity_ring_nodes;
// COMITY_NO_NODE if no node has a weight. key may be NULL if key_len is 0.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_node_index(const comity_ring *ring,
                                const void *key,
                                size_t key_len,
                                uint32_t *out);

// Writes the numbers of the nodes that own count keys to out, each as comity_ring_node_index gives
// it, but faster than one by one in rings of many points.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_lookup_batch(const comity_ring *ring,
                                  const comity_bytes *keys,
                                  size_t count,
                                  uint32_t *out);

// Writes the ids of the first n nodes that hold a key to out, distinct, the owner first, and how
// many these are to *count: fewer than n if fewer nodes have a weight. The ids are valid until
// the ring is freed. key may be NULL if key_len is 0, out if n is 0.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_replicas(const comity_ring *ring,
                              const void *key,
                              size_t key_len,
                              size_t n,
                              comity_bytes *out,
                              size_t *count);

// As comity_ring_node, for a place on the hash space.
uint32_t comity_ring_node_for_hash(const comity_ring *ring,
                                   uint64_t hash,
                                   comity_bytes *out);

// As comity_ring_replicas, for a place on the hash space.
uint32_t comity_ring_replicas_for_hash(const comity_ring *ring,
                                       uint64_t hash,
                                       size_t n,
                                       comity_bytes *out,
                                       size_t *count);

// Writes the number of the node with this id to *out, its place among those of comity_ring_nodes;
// COMITY_NO_NODE if none has it.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_index_of(const comity_ring *ring,
                              const void *id,
                              size_t id_len,
                              uint32_t *out);

// Writes where a key lies on the hash space to *out. key may be NULL if key_len is 0.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_ring_hash(const comity_ring *ring,
                          const void *key,
                          size_t key_len,
                          uint64_t *out);

// Makes an empty store.
//
// Returns COMITY_OK and writes *out, to be freed with comity_memory_free; or
// COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_memory_new(comity_memory **out);

// Frees a store and all that it has lent. NULL is fine.
void comity_memory_free(comity_memory *memory);

// Executes one command and writes its reply to *out, valid until the next call of
// comity_memory_execute on the handle. The words are those of comity_command, 1 to
// COMITY_MEMORY_MAX_WORDS; argvlen may be NULL if each ends with a zero byte. now_us is the server's
// clock, which must be that of the coordinators; an earlier one than before counts as the same moment.
// What a server would refuse is answered with a reply of kind COMITY_REPLY_ERROR.
//
// Returns COMITY_OK; or COMITY_ERROR_INVALID_ARGUMENT for NULL or no words, or
// COMITY_ERROR_LIMIT_EXCEEDED: then nothing is executed.
uint32_t comity_memory_execute(comity_memory *memory,
                               int argc,
                               const char **argv,
                               const size_t *argvlen,
                               uint64_t now_us,
                               const comity_reply **out);

// Writes the next message that was published to *out, or NULL if there is none. It is valid until
// the next call of comity_memory_poll_message on the handle. Give it to comity_handle_message of the
// coordinator whose inbox its channel is; a message for nobody is to be dropped.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_memory_poll_message(comity_memory *memory,
                                    const comity_message **out);

// Writes the counters of what has been done to *out, valid until the next call of comity_stats on
// the handle.
//
// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
uint32_t comity_stats(comity_coordinator *coordinator, const comity_statistics **out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* COMITY_H */
