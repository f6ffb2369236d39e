/* The connectors there are: a row each. */
#include "connect/connect.h"

/* Each is defined in its own folder, which stands above this one. */
extern const struct connector_class postgres_class;
extern const struct connector_class s3_sink_class;
extern const struct connector_class lake_sink_class;

static const struct connector_class *const classes[] = {
    &postgres_class,
    &s3_sink_class,
    &lake_sink_class,
    NULL,
};

const struct connector_class *const *connect_classes(void)
{
    return classes;
}
