/*
 * lake_sink: the connector class io.tarn.connect.lake.LakeSinkConnector.
 *
 * Keys: topics or topics.regex (Debezium sources' topics, in Avro), commit.interval.ms, commit.bytes. Which tables a topic becomes is
 * decided by the lake: bronze.TABLE and silver.TABLE, with SCHEMA_ and then PREFIX_ in front while another topic has that name.
 */
#pragma once

#include "connect/connect.h"

extern const struct connector_class lake_sink_class;
