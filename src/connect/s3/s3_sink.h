/*
 * s3_sink: Confluent's S3 sink connector, io.confluent.connect.s3.S3SinkConnector.
 *
 *     topics.dir/TOPIC/PATH/TOPIC+PARTITION+OFFSET.avro
 *
 * Records of a topic's partition are gathered in one file for each PATH the partitioner says (partition=N, or year=.../...)
 * and all open files of the partition become objects together: after flush.size records, when the schema changes, when
 * rotate.interval.ms has gone by in record time, or at the wall clock's rotate.schedule.interval.ms. OFFSET is that of
 * the file's first record, ten digits wide, so the same records give the same names. A position is given to the runtime
 * only after its objects are durable: what a crash interrupts is written again under the same names. That is
 * exactly-once for record counts and record time; with the Wallclock extractor a repeated record may go to
 * another path.
 *
 * Values are copied as they are on the topic: AvroFormat takes off Confluent's five bytes and writes an object container
 * file with the registered schema; JsonFormat a line for each record; ByteArrayFormat the bytes and a separator.
 * What is not supported (other partitioners, formats, compressions, compatibility projection) is refused with its name.
 *
 * Rules: TopicPartitionWriter and the configuration reference of kafka-connect-storage-cloud 10.6.
 */
#pragma once

#include "connect/connect.h"

extern const struct connector_class s3_sink_class;
