/* Mappings of subjects, of an account or of the global one. */
#include <errno.h>
#include "nats/transform.h"
#include "supervisor/config/fields.h"

/* One destination while it is read. */
struct reading { struct tenant_mapping mapping; bool weighed; };

static int
destination_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	field_text(f, e, &r->mapping.destination, SUBJECT_MOST);
	return 0;
}

static int
weight_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	r->weighed = true;
	field_percent(f, e, 0, &r->mapping.weight);
	return 0;
}

static int
cluster_read(struct fields *f, const struct config_entry *e)
{
	struct reading	*r = f->owner;

	field_text(f, e, &r->mapping.cluster, 255);
	return 0;
}

/* Is it one that the source can be turned into? 0; -EBADMSG: the error is written down; -ENOMEM. */
static int
destination_check(struct tenants *t, const struct tenant_mapping *m)
{
	struct transform	*transform;
	const char		*why = "it has control characters";
	char			 quote[CONFIG_QUOTED];
	int			 rc = -EINVAL;

	if (!text_has_controls(m->destination))
		rc = transform_new(&transform, m->source, m->destination, false, &why);
	if (rc == -ENOMEM)
		return rc;
	if (rc == 0) {
		transform_free(transform);
		return 0;
	}
	config_error(t->errors, m->at, "found %s as a destination: %s", config_quote(quote, m->destination), why);
	return -EBADMSG;
}

static int
mapping_add(struct tenants *t, size_t account, const struct tenant_mapping *m)
{
	struct tenant	*a = &t->accounts[account];
	void		*mappings = a->mappings;
	int		 rc = destination_check(t, m);

	if (rc != 0)
		return rc == -EBADMSG ? 0 : rc;
	if (config_room(&mappings, a->nmappings, &a->mappings_room, sizeof(*m)) != 0)
		return -ENOMEM;
	a->mappings = mappings;
	a->mappings[a->nmappings++] = *m;
	return 0;
}

/* A block with destination, weight, cluster. */
static int
weighted_read(struct tenants *t, size_t account, struct bytes source, const struct config_value *v)
{
	static const struct field	table[] = {
		{ "destination,dest", destination_read }, { "weight", weight_read }, { "cluster", cluster_read },
	};
	struct reading			r = { .mapping = { .at = v->at, .source = source,
	    .destination = BYTES(""), .cluster = BYTES("") } };
	struct fields			f = { t, "a destination", &r };
	unsigned			errors = t->errors->count;
	int				rc = fields_read(&f, v, table, sizeof(table) / sizeof(table[0]));

	if (rc != 0 || t->errors->count > errors)
		return rc;
	if (r.mapping.destination.len == 0)
		config_error(t->errors, v->at, "found no destination in this block, expected one");
	else if (!r.weighed)
		config_error(t->errors, v->at, "found no weight for this destination, expected one, as \"50%%\"");
	else
		return mapping_add(t, account, &r.mapping);
	return 0;
}

/*
 * Those of one source, from `first` on: each once, and of each cluster no more than all.
 * sums: a zero for each of them. 0 or -ENOMEM.
 */
static int
weights_add(struct tenants *t, const struct tenant *a, size_t first, uint64_t *sums, struct known *destinations,
    struct known *clusters)
{
	const struct tenant_mapping	*m;
	char				 quote[CONFIG_QUOTED];
	uint32_t			 cluster;
	size_t				 i;
	int				 rc;

	for (i = first; i < a->nmappings; i++) {
		m = &a->mappings[i];
		rc = known_add(destinations, m->destination, 0, NULL);
		if (rc == -EEXIST)
			config_error(t->errors, m->at, "found the destination %s twice for one subject",
			    config_quote(quote, m->destination));
		else if (rc != 0)
			return rc;
		cluster = (uint32_t)(i - first);
		if (known_add(clusters, m->cluster, cluster, &cluster) == -ENOMEM)
			return -ENOMEM;
		sums[cluster] += m->weight;
		if (sums[cluster] > 100 && sums[cluster] - m->weight <= 100)
			config_error(t->errors, m->at, "found weights of %d%% in all, expected at most 100%%", (int)sums[cluster]);
	}
	return 0;
}

static int
weights_check(struct tenants *t, size_t account, size_t first)
{
	const struct tenant	*a = &t->accounts[account];
	struct known		 destinations = { NULL, 0, 0 }, clusters = { NULL, 0, 0 };
	uint64_t		*sums;
	int			 rc;

	if (a->nmappings - first < 2)
		return 0;		/* one weight alone was checked as it was read */
	sums = calloc(a->nmappings - first, sizeof(*sums));
	rc = sums == NULL ? -ENOMEM : weights_add(t, a, first, sums, &destinations, &clusters);
	free(sums);
	known_free(&destinations);
	known_free(&clusters);
	return rc;
}

static int
mapping_read(struct tenants *t, size_t account, const struct config_entry *e)
{
	const struct config_value	*v = &e->value;
	struct tenant_mapping		 m = { .at = v->at, .source = e->key, .cluster = BYTES(""), .weight = 100 };
	size_t				 i, first = t->accounts[account].nmappings;
	int				 rc = 0;

	if (!subject_good(t, e->at, e->key))
		return 0;
	if (v->kind == CONFIG_TEXT && v->text.len == 0) {
		config_error(t->errors, v->at, "found \"\", expected a destination");
	} else if (v->kind == CONFIG_TEXT) {
		m.destination = v->text;
		rc = mapping_add(t, account, &m);
	} else if (v->kind == CONFIG_LIST) {
		for (i = 0; i < v->list.count && rc == 0; i++)
			rc = weighted_read(t, account, e->key, &v->list.items[i]);
	} else {
		rc = weighted_read(t, account, e->key, v);
	}
	return rc == 0 ? weights_check(t, account, first) : rc;
}

int
mappings_read(struct tenants *t, size_t account, const struct config_value *v)
{
	size_t	i;
	int	rc = 0;

	if (v->kind != CONFIG_MAP)
		config_error(t->errors, v->at, "found %s, expected a block {...} of mappings", config_kind_name(v->kind));
	else
		for (i = 0; i < v->map.count && rc == 0; i++)
			if (!v->map.entries[i].replaced && !v->map.entries[i].used)
				rc = mapping_read(t, account, &v->map.entries[i]);
	return rc;
}
