/* list: intrusive doubly linked lists. The head is a struct list too. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev;
	struct list *next;
};

#define LIST_ENTRY(node, type, member) \
	((type *)(void *)((char *)(node)-offsetof(type, member)))
#define LIST_FOR_EACH(node, head)                              \
	for (struct list *node = (head)->next; node != (head); \
	     node = node->next)
/* The current node may be removed (only the current one). */
#define LIST_FOR_EACH_SAFE(node, head)                                 \
	for (struct list *node = (head)->next, *node##_n = node->next; \
	     node != (head); node = node##_n, node##_n = node->next)

static inline void
list_init(struct list *head)
{
	head->prev = head->next = head;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head;
}

/* Append at the end. */
static inline void
list_push(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Take the first node off a list that is not empty. */
static inline struct list *
list_pop(struct list *head)
{
	struct list *node = head->next;

	head->next = node->next;
	node->next->prev = head;
	list_init(node);
	return node;
}

/* Unlink; the node becomes an empty list, so removing twice is harmless. */
static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif
