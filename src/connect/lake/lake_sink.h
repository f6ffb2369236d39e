/*
 * lake_sink: the connector class io.tarn.connect.lake.LakeSinkConnector, and the configuration that a project gets by itself.
 *
 * Keys: topics or topics.regex (Debezium sources' topics, in Avro), commit.interval.ms, commit.bytes. Which tables a topic becomes is
 * decided by the lake: bronze.TABLE and silver.TABLE, with SCHEMA_ and then PREFIX_ in front while another topic has that name.
 */
#pragma once

#include "base/buf.h"

/* The configuration of a sink for all tables of a source with this topic.prefix, also those to come. */
void lake_sink_json(struct str prefix, struct buf *out);
