#include <errno.h>
#include <stdlib.h>
#include "broker/patterns.h"
#include "shm/hash.h"

#define NOBODY	UINT32_MAX	/* of members */

/* A place in the trie; 0 is the root, and stands for none elsewhere. */
struct node {
	uint32_t	parent, star;		/* star: the child of `*` */
	uint32_t	child, sibling;		/* the others, in a list */
	uint32_t	token, length;		/* what leads here from parent */
	uint32_t	ends, rests;		/* members that end here; that go on with `>` */
};

struct member { uint32_t next, number; };

struct patterns {
	const uint8_t	*secret;
	struct node	*nodes;
	struct member	*members;
	char		*text;			/* all tokens */
	uint32_t	*table;			/* nodes by parent and token; 0: free */
	uint32_t	*ways;			/* both of these: */
	uint32_t	*now, *next;		/* nodes that are under way, each at most once */
	uint32_t	 nnodes, nodes_room;
	uint32_t	 nmembers, members_room;
	uint32_t	 ntext, text_room;
	uint32_t	 nnow, nnext;
};

/* ---- growing */

/* Room for one more in *all, of `size` bytes each. 0 or -ENOMEM. */
static int
grow(void *all, uint32_t used, uint32_t more, uint32_t *room, size_t size)
{
	void		**array = all, *wider;
	uint64_t	  wanted = *room == 0 ? 16 : *room;

	while (wanted < (uint64_t)used + more)
		wanted *= 2;
	if (wanted > UINT32_MAX / 2)
		return -ENOMEM;
	if (wanted == *room)
		return 0;
	wider = realloc(*array, wanted * size);
	if (wider == NULL)
		return -ENOMEM;
	*array = wider;
	*room = (uint32_t)wanted;
	return 0;
}

static uint64_t
child_hash(uint64_t token_hash, uint32_t parent)
{
	return hash_mix(token_hash, parent);
}

static struct bytes
node_token(const struct patterns *p, const struct node *n)
{
	return (struct bytes){ p->text + n->token, n->length };
}

static void
table_insert(struct patterns *p, uint32_t number)
{
	const struct node	*n = &p->nodes[number];
	uint32_t		 mask = p->nodes_room * 2 - 1;
	uint64_t		 at = child_hash(hash_bytes(p->secret, node_token(p, n)), n->parent);

	while (p->table[at & mask] != 0)
		at++;
	p->table[at & mask] = number;
}

/* Twice as many nodes, with all that has a place for each. */
static int
nodes_grow(struct patterns *p)
{
	uint32_t	 room = p->nodes_room == 0 ? 16 : p->nodes_room * 2, i;
	struct node	*nodes = realloc(p->nodes, (size_t)room * sizeof(*nodes));
	uint32_t	*table = calloc((size_t)room * 2, sizeof(*table));
	uint32_t	*ways = malloc((size_t)room * 2 * sizeof(*ways));

	if (nodes != NULL)
		p->nodes = nodes;
	if (nodes == NULL || table == NULL || ways == NULL || room > UINT32_MAX / 4) {
		free(table);
		free(ways);
		return -ENOMEM;
	}
	free(p->table);
	free(p->ways);
	p->table = table;
	p->ways = p->now = ways;
	p->next = ways + room;
	p->nodes_room = room;
	for (i = 1; i < p->nnodes; i++)
		if (p->nodes[i].length != 0)
			table_insert(p, i);
	return 0;
}

/* A child of parent by token; by `*` if its length is 0. Its number, or 0: no memory. */
static uint32_t
node_new(struct patterns *p, uint32_t parent, struct bytes token)
{
	uint32_t	 number = p->nnodes;
	struct node	*n;

	if (token.len > UINT32_MAX / 4 ||
	    (p->nnodes == p->nodes_room && nodes_grow(p) != 0) ||
	    grow(&p->text, p->ntext, (uint32_t)token.len, &p->text_room, 1) != 0)
		return 0;
	n = &p->nodes[number];
	*n = (struct node){ .parent = parent, .token = p->ntext, .length = (uint32_t)token.len,
	    .ends = NOBODY, .rests = NOBODY };
	p->nnodes++;
	if (number == 0)
		return 0;
	if (token.len == 0) {
		p->nodes[parent].star = number;
		return number;
	}
	memcpy(p->text + p->ntext, token.data, token.len);
	p->ntext += n->length;
	n->sibling = p->nodes[parent].child;
	p->nodes[parent].child = number;
	table_insert(p, number);
	return number;
}

struct patterns *
patterns_new(const uint8_t *secret)
{
	struct patterns *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->secret = secret;
	(void)node_new(p, 0, BYTES(""));
	if (p->nnodes == 1)
		return p;
	patterns_free(p);
	return NULL;
}

void
patterns_free(struct patterns *p)
{
	if (p == NULL)
		return;
	free(p->nodes);
	free(p->members);
	free(p->text);
	free(p->table);
	free(p->ways);
	free(p);
}

/* ---- tokens */

static bool
token_is(struct bytes token, char c)
{
	return token.len == 1 && token.data[0] == c;
}

/* Take the first token off rest, and its dot. False: it was the last one. */
static bool
token_next(struct bytes *rest, struct bytes *token)
{
	const char *dot = rest->len == 0 ? NULL : memchr(rest->data, '.', rest->len);

	*token = *rest;
	if (dot == NULL)
		return false;
	token->len = (size_t)(dot - rest->data);
	rest->data += token->len + 1;
	rest->len -= token->len + 1;
	return true;
}

/* Has it no empty token? */
static bool
is_whole(struct bytes subject)
{
	bool	dot = true;
	size_t	i;

	for (i = 0; i < subject.len; i++) {
		if (dot && subject.data[i] == '.')
			return false;
		dot = subject.data[i] == '.';
	}
	return !dot;
}

/* The child of n by an exact token, of this hash; 0: none. */
static uint32_t
node_child(const struct patterns *p, uint32_t n, struct bytes token, uint64_t hash)
{
	uint32_t mask = p->nodes_room * 2 - 1, i;
	uint64_t at = child_hash(hash, n);

	for (; (i = p->table[at & mask]) != 0; at++)
		if (p->nodes[i].parent == n && bytes_equal(node_token(p, &p->nodes[i]), token))
			return i;
	return 0;
}

/* ---- adding */

int
patterns_add(struct patterns *p, struct bytes pattern, uint32_t number)
{
	struct bytes	 token;
	uint32_t	 n = 0, child, *list;
	bool		 more = true;

	if (grow(&p->members, p->nmembers, 1, &p->members_room, sizeof(*p->members)) != 0)
		return -ENOMEM;
	while (more) {
		more = token_next(&pattern, &token);
		if (!more && token_is(token, '>'))
			break;
		if (token_is(token, '*')) {
			token.len = 0;
			child = p->nodes[n].star;
		} else
			child = node_child(p, n, token, hash_bytes(p->secret, token));
		if (child == 0 && (child = node_new(p, n, token)) == 0)
			return -ENOMEM;
		n = child;
	}
	list = !more && token_is(token, '>') ? &p->nodes[n].rests : &p->nodes[n].ends;
	p->members[p->nmembers] = (struct member){ .next = *list, .number = number };
	*list = p->nmembers++;
	return 0;
}

/* ---- asking */

static bool
tell(const struct patterns *p, uint32_t list, patterns_found *found, void *arg)
{
	for (; list != NOBODY; list = p->members[list].next)
		if (found(arg, p->members[list].number))
			return true;
	return false;
}

static inline void
step(struct patterns *p, uint32_t node)
{
	if (node != 0)
		p->next[p->nnext++] = node;
}

static void
step_all(struct patterns *p, const struct node *n)
{
	uint32_t child;

	step(p, n->star);
	for (child = n->child; child != 0; child = p->nodes[child].sibling)
		step(p, child);
}

/* The nodes that are stepped to take the place of those we are at. */
static void
steps_taken(struct patterns *p)
{
	uint32_t *now = p->now;

	p->now = p->next;
	p->next = now;
	p->nnow = p->nnext;
	p->nnext = 0;
}

/* From all nodes we are at, one token on. No exact child is `*`: that finds the star only. */
static void
steps(struct patterns *p, enum patterns_asked asked, struct bytes token)
{
	bool		all = token_is(token, '*') && asked == PATTERNS_OVERLAP;
	uint64_t	hash = hash_bytes(p->secret, token);
	uint32_t	i;

	for (i = 0; i < p->nnow; i++) {
		if (all)
			step_all(p, &p->nodes[p->now[i]]);
		else {
			step(p, p->nodes[p->now[i]].star);
			step(p, node_child(p, p->now[i], token, hash));
		}
	}
	steps_taken(p);
}

/* All below the nodes we are at. */
static bool
tell_below(struct patterns *p, patterns_found *found, void *arg)
{
	uint32_t i;

	while (p->nnow != 0) {
		for (i = 0; i < p->nnow; i++)
			step_all(p, &p->nodes[p->now[i]]);
		steps_taken(p);
		for (i = 0; i < p->nnow; i++)
			if (tell(p, p->nodes[p->now[i]].ends, found, arg) ||
			    tell(p, p->nodes[p->now[i]].rests, found, arg))
				return true;
	}
	return false;
}

bool
patterns_ask(struct patterns *p, enum patterns_asked asked, struct bytes subject, patterns_found *found,
    void *arg)
{
	struct bytes	token;
	bool		more = true;
	uint32_t	i;

	if (!is_whole(subject))
		return false;
	p->now[0] = 0;
	p->nnow = 1;
	p->nnext = 0;
	while (more && p->nnow != 0) {
		more = token_next(&subject, &token);
		for (i = 0; i < p->nnow; i++)
			if (tell(p, p->nodes[p->now[i]].rests, found, arg))
				return true;
		if (!more && token_is(token, '>') && asked != PATTERNS_MATCH)
			return asked == PATTERNS_OVERLAP && tell_below(p, found, arg);
		steps(p, asked, token);
	}
	for (i = 0; i < p->nnow; i++)
		if (tell(p, p->nodes[p->now[i]].ends, found, arg))
			return true;
	return false;
}
