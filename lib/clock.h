/* clock: monotonic time for timers, wall time for records. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
int64_t clock_wall_s(void);
int64_t clock_wall_us(void);
/* "2026-01-02T03:04:05Z"; needs 21 bytes. */
void clock_rfc3339(int64_t wall_s, char *out, size_t cap);
/* "2026-01-02T03:04:05.000006Z" (Kubernetes MicroTime); needs 28 bytes. */
void clock_rfc3339_us(int64_t wall_us, char *out, size_t cap);
/* Parses both forms (any fraction, Z only). -1 when malformed. */
int64_t clock_parse_rfc3339_us(const char *s);

#endif
