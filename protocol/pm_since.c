/* pm_since: which version a message needs at its receiver (§12). */
#include "protocol/pm_type.h"

static uint32_t since_value(const struct pm_type *t, const void *v);

static uint32_t
since_max(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t
since_fields(const struct pm_field *f, const void *v)
{
	uint32_t since = 0;

	for (; f->type != NULL; f++)
		since =
		    since_max(since, since_value(f->type, pm_at(v, f->offset)));
	return since;
}

/* As deep as the message's own nesting, which decode and encode bound. */
static uint32_t
since_value(const struct pm_type *t, const void *v)
{
	uint32_t tag, since = 0;
	const struct pm_vec *vec;

	switch (t->kind) {
	case PM_K_STRUCT:
		return since_fields(t->fields, v);
	case PM_K_ENUM:
		tag = *(const uint32_t *)v;
		if (tag >= t->count)
			return UINT32_MAX;
		return since_max(t->variants[tag].since,
		    since_fields(t->variants[tag].fields, v));
	case PM_K_OPT:
		if (!*(const bool *)v)
			return 0;
		return since_value(t->elem, pm_at(v, t->elem_offset));
	case PM_K_VEC:
		vec = v;
		for (size_t i = 0; i < vec->n; i++)
			since = since_max(
			    since, since_value(t->elem,
				       pm_at(vec->v, i * t->elem->size)));
		return since;
	case PM_K_RES:
		if (*(const uint32_t *)v == PM_OK)
			return since_value(t->elem, pm_at(v, t->elem_offset));
		return since_value(
		    &pm_type_ResponseError, pm_at(v, t->err_offset));
	default:
		return 0; /* no enum inside */
	}
}

uint32_t
pm_since_client(const struct pm_ClientMessage *m)
{
	return since_value(&pm_type_ClientMessage, m);
}

uint32_t
pm_since_daemon(const struct pm_DaemonMessage *m)
{
	return since_value(&pm_type_DaemonMessage, m);
}
