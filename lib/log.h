/*
 * log: leveled lines. A daemon worker sets a sink that ships lines to the
 * supervisor; other programs write to stderr. Constant message, then
 * key=value pairs in the text: log_info("stream open session=%x", id).
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

enum log_level { LOG_LV_ERROR, LOG_LV_WARN, LOG_LV_INFO, LOG_LV_DEBUG };

typedef void log_sink_fn(void *arg, enum log_level lv, const char *line);

void log_init(const char *name, enum log_level max);
void log_set_sink(log_sink_fn *fn, void *arg);
void log_set_level(enum log_level max);
enum log_level log_get_level(void);
/* "error" "warn" "info" "debug"; -1 when unknown. */
int log_level_parse(const char *s);
const char *log_level_name(enum log_level lv);
void log_at(enum log_level lv, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_at(LOG_LV_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LV_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_LV_INFO, __VA_ARGS__)
#define log_debug(...)                                     \
	do {                                               \
		if (log_get_level() >= LOG_LV_DEBUG)       \
			log_at(LOG_LV_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
