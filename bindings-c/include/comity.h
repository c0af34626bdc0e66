/* comity for C. Generated from the crate comity-c: do not edit.
 *
 * Functions that can fail return COMITY_OK or a COMITY_ERROR_ code, and write their
 * outputs only if they return COMITY_OK; comity_last_error() has the words. */

#ifndef COMITY_H
#define COMITY_H

#include <stddef.h>
#include <stdint.h>

/*
 The call succeeded.
 */
#define COMITY_OK 0

/*
 An option or value out of range. State unchanged.
 */
#define COMITY_ERROR_INVALID_ARGUMENT 1

/*
 A stated limit would be passed. State unchanged.
 */
#define COMITY_ERROR_LIMIT_EXCEEDED 2

/*
 A verb in the wrong order, or a handle that is dead. State unchanged.
 */
#define COMITY_ERROR_INVALID_STATE 3

/*
 A server, client or command that cannot serve this.
 */
#define COMITY_ERROR_UNSUPPORTED 4

/*
 The coordinator was closed. State unchanged.
 */
#define COMITY_ERROR_CLOSED 5

/*
 The lock was not granted in time.
 */
#define COMITY_ERROR_LOCK_TIMEOUT 20

/*
 The lease ended before the release.
 */
#define COMITY_ERROR_LOCK_LOST 21

/*
 Release or renewal of a lock that is not held. State unchanged.
 */
#define COMITY_ERROR_NOT_HELD 22

/*
 A transaction met a changed value or a lock. Nothing of it is applied.
 */
#define COMITY_ERROR_CONFLICT 30

/*
 A command in a transaction failed. Nothing of it is applied.
 */
#define COMITY_ERROR_COMMAND_FAILED 31

/*
 A transaction was cancelled, took too long, or was aborted by another client. Nothing of it is
 applied.
 */
#define COMITY_ERROR_ABORTED 32

/*
 Whether a transaction is applied is not known; it can be resolved by its id.
 */
#define COMITY_ERROR_OUTCOME_UNKNOWN 33

/*
 A count beyond the range. State unchanged.
 */
#define COMITY_ERROR_OVERFLOW 40

/*
 Two members disagree about the ring.
 */
#define COMITY_ERROR_RING_MISMATCH 50

/*
 The command never left, or no connection could be made in time.
 */
#define COMITY_ERROR_UNREACHABLE 60

/*
 The command was sent and no answer came in time: it may have been executed.
 */
#define COMITY_ERROR_NO_ANSWER 61

/*
 The server answered with an error of its own.
 */
#define COMITY_ERROR_SERVER_REFUSED 62

/*
 The key holds a value of another type.
 */
#define COMITY_ERROR_WRONG_TYPE 63

/*
 Bytes that are not a valid snapshot. State unchanged.
 */
#define COMITY_ERROR_CORRUPT 64

/*
 A bug in comity. The handle is dead: free it.
 */
#define COMITY_ERROR_INTERNAL 90

/*
 A consistent-hash ring. It never changes, so unlike other handles any number of threads may
 read it at once.
 */
typedef struct comity_ring comity_ring;

/*
 A member of a ring.
 */
typedef struct {
  /*
   Identity, 1 to 256 bytes, unique within a ring.
   */
  const uint8_t *id;
  /*
   How many bytes the id has.
   */
  size_t id_len;
  /*
   Share of the keys relative to the other nodes; 0 = listed, but given no keys.
   */
  uint32_t weight;
} comity_node_spec;

/*
 Borrowed bytes: data is never read if len is 0, and may be NULL then.
 */
typedef struct {
  /*
   The first byte.
   */
  const uint8_t *data;
  /*
   How many bytes.
   */
  size_t len;
} comity_bytes;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of the library, for example "0.1.0". Never NULL, valid for ever.
 */
const char *comity_version(void);

/*
 Makes a ring of count nodes in any order, with 512 points per weight unit and seed 0. nodes
 may be NULL if count is 0: an empty ring finds no node. The ids are copied.

 Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
 COMITY_ERROR_INVALID_ARGUMENT for NULL, an empty id or one that is there twice; or
 COMITY_ERROR_LIMIT_EXCEEDED for more than 65536 nodes, 4194304 points in all or 256 bytes
 in an id.

 The caller makes sure of this: nodes points to count specs and each id to id_len bytes; out can be written.
 */
uint32_t comity_ring_new(const comity_node_spec *nodes, size_t count, comity_ring **out);

/*
 Frees a ring and all ids it gave. NULL is fine.

 The caller makes sure of this: ring came from comity_ring_new, was not freed before, and no other thread uses it.
 */
void comity_ring_free(comity_ring *ring);

/*
 Writes the id of the node that owns a key to *out, valid until the ring is freed; a NULL id of
 length 0 if no node has a weight. key may be NULL if key_len is 0.

 Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.

 The caller makes sure of this: ring is alive; key points to key_len bytes; out can be written.
 */
uint32_t comity_ring_node(const comity_ring *ring,
                          const uint8_t *key,
                          size_t key_len,
                          comity_bytes *out);

/*
 Writes the ids of the first n nodes that hold a key to out, distinct, the owner first, and how
 many these are to *count: fewer than n if fewer nodes have a weight. The ids are valid until
 the ring is freed. key may be NULL if key_len is 0, out if n is 0.

 Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.

 The caller makes sure of this: ring is alive; key points to key_len bytes; n elements of out and count can be
 written.
 */
uint32_t comity_ring_replicas(const comity_ring *ring,
                              const uint8_t *key,
                              size_t key_len,
                              size_t n,
                              comity_bytes *out,
                              size_t *count);

/*
 Writes how many nodes a ring has to *out, those of weight 0 included.

 Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.

 The caller makes sure of this: ring is alive; out can be written.
 */
uint32_t comity_ring_len(const comity_ring *ring, size_t *out);

/*
 Writes 64 bits to *out that stand for the nodes, their weights and the configuration: peers
 with equal ones place keys alike.

 Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.

 The caller makes sure of this: ring is alive; out can be written.
 */
uint32_t comity_ring_fingerprint(const comity_ring *ring, uint64_t *out);

/*
 What was wrong with the last failed call of this thread, as UTF-8; empty if none failed yet.
 Never NULL, valid until the next call of this thread that fails.
 */
const char *comity_last_error(void);

/*
 What was wrong with the last failed call of this thread, as UTF-8; empty if none failed yet.
 Never NULL, valid until the next call of this thread that fails.
 */
const char *comity_last_error(void);

/*
 Makes a ring of count nodes in any order, with 512 points per weight unit and seed 0. nodes
 may be NULL if count is 0: an empty ring finds no node. The ids are copied.

 Returns COMITY_OK and writes *out, to be freed with comity_ring_free; or
 COMITY_ERROR_INVALID_ARGUMENT for NULL, an empty id or one that is there twice; or
 COMITY_ERROR_LIMIT_EXCEEDED for more than 65536 nodes, 4194304 points in all or 256 bytes
 in an id.

 The caller makes sure of this: nodes points to count specs and each id to id_len bytes; out can be written.
 */
uint32_t comity_ring_new(const comity_node_spec *nodes, size_t count, comity_ring **out);

/*
 Frees a ring and all ids it gave. NULL is fine.

 The caller makes sure of this: ring came from comity_ring_new, was not freed before, and no other thread uses it.
 */
void comity_ring_free(comity_ring *ring);

/*
 Writes the id of the node that owns a key to *out, valid until the ring is freed; a NULL id of
 length 0 if no node has a weight. key may be NULL if key_len is 0.

 Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.

 The caller makes sure of this: ring is alive; key points to key_len bytes; out can be written.
 */
uint32_t comity_ring_node(const comity_ring *ring,
                          const uint8_t *key,
                          size_t key_len,
                          comity_bytes *out);

/*
 Writes the ids of the first n nodes that hold a key to out, distinct, the owner first, and how
 many these are to *count: fewer than n if fewer nodes have a weight. The ids are valid until
 the ring is freed. key may be NULL if key_len is 0, out if n is 0.

 Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.

 The caller makes sure of this: ring is alive; key points to key_len bytes; n elements of out and count can be
 written.
 */
uint32_t comity_ring_replicas(const comity_ring *ring,
                              const uint8_t *key,
                              size_t key_len,
                              size_t n,
                              comity_bytes *out,
                              size_t *count);

/*
 Writes how many nodes a ring has to *out, those of weight 0 included.

 Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.

 The caller makes sure of this: ring is alive; out can be written.
 */
uint32_t comity_ring_len(const comity_ring *ring, size_t *out);

/*
 Writes 64 bits to *out that stand for the nodes, their weights and the configuration: peers
 with equal ones place keys alike.

 Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.

 The caller makes sure of this: ring is alive; out can be written.
 */
uint32_t comity_ring_fingerprint(const comity_ring *ring, uint64_t *out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* COMITY_H */
