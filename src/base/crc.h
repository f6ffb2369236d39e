/*
 * crc: CRC-32C (Castagnoli), as Kafka's record batches have it.
 *
 * isa-l does the work: SSE4.2, ARMv8 or tables, chosen when the program runs.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *p, size_t n); // start with 0; may be continued
