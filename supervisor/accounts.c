#include <stdlib.h>
#include <string.h>
#include "supervisor/accounts.h"
#include "supervisor/supervisor.h"

bool
accounts_continue(const struct settings *before, const struct settings *next)
{
	const struct text_list *a = &before->account_numbers, *b = &next->account_numbers;
	size_t i;

	if (b->count < a->count || b->count > DIRECTORY_ACCOUNTS - ACCOUNT_FIRST)
		return false;
	for (i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

/* Walks the numbers of a configuration upwards; accounts_gone rises as well. */
struct numbering {
	const struct settings *settings;
	size_t		 gone;		/* of accounts_gone: the next to be passed */
};

/* Does it have this account? Asked for each number once, in their order. */
static bool
numbering_has(struct numbering *n, uint32_t number)
{
	const struct text_list *gone = &n->settings->accounts_gone;

	if (number < ACCOUNT_FIRST)
		return true;
	if (number - ACCOUNT_FIRST >= n->settings->account_numbers.count)
		return false;
	while (n->gone < gone->count && strtoul(gone->items[n->gone], NULL, 10) < number)
		n->gone++;
	return n->gone == gone->count || strtoul(gone->items[n->gone], NULL, 10) != number;
}

static size_t
most(size_t a, size_t b)
{
	return a > b ? a : b;
}

void
accounts_update(struct supervisor *s)
{
	struct numbering now = { .settings = &s->settings };
	struct numbering other = { .settings = &s->reload.settings };	/* empty without a reload */
	uint32_t number, end;
	bool a, b;

	if (s->fabric.directory == NULL)
		return;
	end = ACCOUNT_FIRST + (uint32_t)most(s->settings.account_numbers.count,
	    s->reload.settings.account_numbers.count);
	for (number = ACCOUNT_GLOBAL; number < end || number < s->accounts_end; number++) {
		a = numbering_has(&now, number);
		b = numbering_has(&other, number);
		atomic_store_explicit(&s->fabric.directory->participants[number],
		    a || b ? s->participants : 0, memory_order_release);
	}
	s->accounts_end = end;
}

void
accounts_enter(struct supervisor *s, unsigned number)
{
	s->participants |= (uint64_t)1 << number;
	accounts_update(s);
}

void
accounts_leave(struct supervisor *s, unsigned number)
{
	s->participants &= ~((uint64_t)1 << number);
	accounts_update(s);
}
