/* Connector classes by their names, and all keys that one has. */
#include "base/mem.h"
#include "connect/connect_int.h"

/* Keys that every connector has; the runtime itself acts on them. */
static const struct config_key common_keys[] = {
    {"name", CONFIG_STRING, NULL, true, CONFIG_HIGH, "Globally unique name to use for this connector."},
    {"connector.class", CONFIG_STRING, NULL, true, CONFIG_HIGH, "Name of the class for this connector."},
    {"tasks.max", CONFIG_INT, "1", false, CONFIG_HIGH, "Maximum number of tasks to use for this connector."},
    {"key.converter", CONFIG_CLASS, NULL, false, CONFIG_LOW, "Format of record keys on the topic."},
    {"value.converter", CONFIG_CLASS, NULL, false, CONFIG_LOW, "Format of record values on the topic."},
    {"transforms", CONFIG_LIST, "", false, CONFIG_LOW, "Aliases for the transformations to be applied."},
    {"predicates", CONFIG_LIST, "", false, CONFIG_LOW, "Aliases for the predicates used by transformations."},
    {"errors.tolerance", CONFIG_STRING, "none", false, CONFIG_MEDIUM,
     "What to do about a record that cannot be used: none fails the task."},
};

static const struct config_key sink_keys[] = {
    {"topics", CONFIG_LIST, "", false, CONFIG_HIGH, "List of topics to consume, separated by commas."},
    {"topics.regex", CONFIG_STRING, "", false, CONFIG_HIGH,
     "Regular expression giving topics to consume, matched against the whole name."},
};

const struct connector_class *class_find(struct str name)
{
    const struct connector_class *const *k = connect_classes();

    for (; name.p && *k; k++)
        for (const char *const *n = (*k)->names; *n; n++)
            if (str_is(name, *n))
                return *k;
    return NULL;
}

struct config_key *class_keys(const struct connector_class *k, struct arena *a, size_t *count)
{
    size_t n = 0, most = ARRAY_LEN(common_keys) + ARRAY_LEN(sink_keys) + k->key_count;
    struct config_key *out = ARENA_ARRAY(a, struct config_key, most);

    for (size_t i = 0; i < k->key_count; i++)
        out[n++] = k->keys[i];
    for (size_t i = 0; i < ARRAY_LEN(common_keys) + (k->source ? 0 : ARRAY_LEN(sink_keys)); i++) {
        const struct config_key *add =
            i < ARRAY_LEN(common_keys) ? &common_keys[i] : &sink_keys[i - ARRAY_LEN(common_keys)];
        bool there = false;

        for (size_t j = 0; j < k->key_count; j++)
            there |= strcmp(k->keys[j].name, add->name) == 0;
        if (!there)
            out[n++] = *add;
    }
    *count = n;
    return out;
}
