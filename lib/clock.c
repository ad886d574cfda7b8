#include "config.h"

#include "lib/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t
clock_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000u;
}

int64_t
clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_s(void)
{
	return clock_wall_us() / 1000000;
}

void
clock_rfc3339(int64_t wall_s, char *out, size_t cap)
{
	time_t t = (time_t)wall_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	if (strftime(out, cap, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0 && cap > 0)
		out[0] = '\0';
}

void
clock_rfc3339_us(int64_t wall_us, char *out, size_t cap)
{
	char day[32];

	clock_rfc3339(wall_us / 1000000, day, sizeof(day));
	day[19] = '\0';
	snprintf(out, cap, "%s.%06dZ", day, (int)(wall_us % 1000000));
}

int64_t
clock_parse_rfc3339_us(const char *s)
{
	struct tm tm;
	const char *rest;
	int64_t us = 0, unit = 100000;

	memset(&tm, 0, sizeof(tm));
	rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest == NULL)
		return -1;
	if (*rest == '.') {
		for (rest++; *rest >= '0' && *rest <= '9'; rest++) {
			us += (*rest - '0') * unit;
			unit /= 10;
		}
	}
	if (strcmp(rest, "Z") != 0)
		return -1;
	return (int64_t)timegm(&tm) * 1000000 + us;
}
