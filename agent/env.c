#include "config.h"

#include "agent/env.h"

#include <stdlib.h>
#include <string.h>

#include "lib/str.h"

/* Sorted: names that mean the target's machine, not its configuration. */
static const char *const env_withheld[] = {
    "BUNDLER_ORIG_BUNDLER_ORIG_MANPATH",
    "BUNDLER_ORIG_BUNDLER_VERSION",
    "BUNDLER_ORIG_BUNDLE_BIN_PATH",
    "BUNDLER_ORIG_BUNDLE_GEMFILE",
    "BUNDLER_ORIG_GEM_HOME",
    "BUNDLER_ORIG_MANPATH",
    "BUNDLER_ORIG_PATH",
    "BUNDLER_ORIG_RB_USER_INSTALL",
    "BUNDLER_ORIG_RUBYLIB",
    "BUNDLER_ORIG_RUBYOPT",
    "BUNDLER_VERSION",
    "BUNDLE_APP_CONFIG",
    "BUNDLE_BIN_PATH",
    "BUNDLE_FORCE_RUBY_PLATFORM",
    "BUNDLE_GEMFILE",
    "BUNDLE_GEM_PATH",
    "BUNDLE_PATH",
    "BUNDLE_WITHOUT",
    "CATALINA_HOME",
    "CLASSPATH",
    "DOTNET_EnableDiagnostics",
    "DOTNET_STARTUP_HOOKS",
    "GEM_HOME",
    "GEM_PATH",
    "GOMODCACHE",
    "GOPATH",
    "HOME",
    "HOMEPATH",
    "JAVA_EXE",
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
    "MIRRORD_LOG",
    "PATH",
    "PWD",
    "PYTHONPATH",
    "RUBYLIB",
    "RUBYOPT",
    "RUST_LOG",
    "_JAVA_OPTIONS",
};

static int
cmp_name(const void *key, const void *item)
{
	return strcmp(key, *(const char *const *)item);
}

static bool
is_withheld(const char *name)
{
	return bsearch(name, env_withheld,
		   sizeof(env_withheld) / sizeof(*env_withheld),
		   sizeof(*env_withheld), cmp_name) != NULL;
}

static bool
any_match(const char *const *patterns, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (str_wildcard(patterns[i], name))
			return true;
	}
	return false;
}

bool
env_selected(const struct env_select *s, const char *name)
{
	if (is_withheld(name))
		return false;
	if (s->include_count > 0 &&
	    !any_match(s->include, s->include_count, name))
		return false;
	return !any_match(s->exclude, s->exclude_count, name);
}

static int
cmp_entry(const void *va, const void *vb)
{
	const struct env_entry *a = va, *b = vb;
	int c = strcmp(a->name, b->name);

	if (c != 0)
		return c;
	return a->name < b->name ? -1 : a->name > b->name;
}

/* Sorts by name, then keeps the last of each. */
static void
table_unique(struct env_table *t)
{
	size_t out = 0;

	if (t->count == 0)
		return;
	qsort(t->entries, t->count, sizeof(*t->entries), cmp_entry);
	for (size_t i = 0; i < t->count; i++) {
		bool last =
		    i + 1 == t->count ||
		    strcmp(t->entries[i].name, t->entries[i + 1].name) != 0;

		if (last)
			t->entries[out++] = t->entries[i];
	}
	t->count = out;
}

static void
table_add(struct env_table *t, char *entry, size_t n)
{
	char *eq = memchr(entry, '=', n);

	if (eq == NULL || eq == entry ||
	    !str_utf8_valid((const uint8_t *)entry, n))
		return;
	*eq = '\0';
	t->entries[t->count++] =
	    (struct env_entry){.name = entry, .value = eq + 1};
}

int
env_table_init(struct env_table *t, const uint8_t *p, size_t n)
{
	size_t max = 1;

	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < n; i++)
		max += p[i] == '\0';
	t->text = malloc(n + 1);
	t->entries = calloc(max, sizeof(*t->entries));
	if (t->text == NULL || t->entries == NULL) {
		env_table_free(t);
		return -ERR_NOMEM;
	}
	if (n > 0)
		memcpy(t->text, p, n);
	t->text[n] = '\0';
	for (size_t at = 0; at < n;) {
		size_t len = strlen(t->text + at);

		table_add(t, t->text + at, len);
		at += len + 1;
	}
	table_unique(t);
	return 0;
}

void
env_table_free(struct env_table *t)
{
	free(t->text);
	free(t->entries);
	memset(t, 0, sizeof(*t));
}
