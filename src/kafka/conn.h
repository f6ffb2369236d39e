/*
 * conn: a Kafka connection: frames in, answers out, in the order of the requests.
 *
 * A frame is a 32-bit length and that many bytes. One request runs at a time, as in Kafka, so what a client sends first is
 * done first; only produce requests run side by side, because they wait for the disk together and the log keeps their
 * order. While a request cannot be begun the connection reads nothing: that is how a client is slowed down.
 */
#pragma once

#include "net/net.h"

extern const struct net_proto kafka_proto; // its arg is the struct kafka
