/*
 * manifest_schemas: the Avro schemas of manifests and manifest lists, format version 2, unpartitioned.
 *
 * Names and ids are the specification's ("Manifests", "Manifest Lists"). Java resolves the generated classes by the record names, so
 * they must be exactly these.
 */
#pragma once

static const char MANIFEST_LIST_SCHEMA[] =
    "{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":[{\"name\":\"manifest_path\",\"type\""
    ":\"string\",\"field-id\":500},{\"name\":\"manifest_length\",\"type\":\"long\",\"field-id\":501},"
    "{\"name\":\"partition_spec_id\",\"type\":\"int\",\"field-id\":502},{\"name\":\"content\",\"type"
    "\":\"int\",\"field-id\":517},{\"name\":\"sequence_number\",\"type\":\"long\",\"field-id\":515},{"
    "\"name\":\"min_sequence_number\",\"type\":\"long\",\"field-id\":516},{\"name\":\"added_snapshot_"
    "id\",\"type\":\"long\",\"field-id\":503},{\"name\":\"added_files_count\",\"type\":\"int\",\"fiel"
    "d-id\":504},{\"name\":\"existing_files_count\",\"type\":\"int\",\"field-id\":505},{\"name\":\"de"
    "leted_files_count\",\"type\":\"int\",\"field-id\":506},{\"name\":\"added_rows_count\",\"type\":"
    "\"long\",\"field-id\":512},{\"name\":\"existing_rows_count\",\"type\":\"long\",\"field-id\":513}"
    ",{\"name\":\"deleted_rows_count\",\"type\":\"long\",\"field-id\":514},{\"name\":\"partitions\","
    "\"type\":[\"null\",{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"r508\",\"fields"
    "\":[{\"name\":\"contains_null\",\"type\":\"boolean\",\"field-id\":509},{\"name\":\"contains_nan"
    "\",\"type\":[\"null\",\"boolean\"],\"default\":null,\"field-id\":518},{\"name\":\"lower_bound\","
    "\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":510},{\"name\":\"upper_bound\",\"typ"
    "e\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":511}]},\"element-id\":508}],\"default\":n"
    "ull,\"field-id\":507},{\"name\":\"key_metadata\",\"type\":[\"null\",\"bytes\"],\"default\":null,"
    "\"field-id\":519}]}";

static const char MANIFEST_SCHEMA[] =
    "{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":[{\"name\":\"status\",\"type\":\"int"
    "\",\"field-id\":0},{\"name\":\"snapshot_id\",\"type\":[\"null\",\"long\"],\"default\":null,\"fie"
    "ld-id\":1},{\"name\":\"sequence_number\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-i"
    "d\":3},{\"name\":\"file_sequence_number\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-"
    "id\":4},{\"name\":\"data_file\",\"type\":{\"type\":\"record\",\"name\":\"r2\",\"fields\":[{\"nam"
    "e\":\"content\",\"type\":\"int\",\"field-id\":134},{\"name\":\"file_path\",\"type\":\"string\","
    "\"field-id\":100},{\"name\":\"file_format\",\"type\":\"string\",\"field-id\":101},{\"name\":\"pa"
    "rtition\",\"type\":{\"type\":\"record\",\"name\":\"r102\",\"fields\":[]},\"field-id\":102},{\"na"
    "me\":\"record_count\",\"type\":\"long\",\"field-id\":103},{\"name\":\"file_size_in_bytes\",\"typ"
    "e\":\"long\",\"field-id\":104},{\"name\":\"column_sizes\",\"type\":[\"null\",{\"type\":\"array\""
    ",\"items\":{\"type\":\"record\",\"name\":\"k117_v118\",\"fields\":[{\"name\":\"key\",\"type\":\""
    "int\",\"field-id\":117},{\"name\":\"value\",\"type\":\"long\",\"field-id\":118}]},\"logicalType"
    "\":\"map\"}],\"default\":null,\"field-id\":108},{\"name\":\"value_counts\",\"type\":[\"null\",{"
    "\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"k119_v120\",\"fields\":[{\"name\":"
    "\"key\",\"type\":\"int\",\"field-id\":119},{\"name\":\"value\",\"type\":\"long\",\"field-id\":12"
    "0}]},\"logicalType\":\"map\"}],\"default\":null,\"field-id\":109},{\"name\":\"null_value_counts"
    "\",\"type\":[\"null\",{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"k121_v122\","
    "\"fields\":[{\"name\":\"key\",\"type\":\"int\",\"field-id\":121},{\"name\":\"value\",\"type\":\""
    "long\",\"field-id\":122}]},\"logicalType\":\"map\"}],\"default\":null,\"field-id\":110},{\"name"
    "\":\"nan_value_counts\",\"type\":[\"null\",{\"type\":\"array\",\"items\":{\"type\":\"record\",\""
    "name\":\"k138_v139\",\"fields\":[{\"name\":\"key\",\"type\":\"int\",\"field-id\":138},{\"name\":"
    "\"value\",\"type\":\"long\",\"field-id\":139}]},\"logicalType\":\"map\"}],\"default\":null,\"fie"
    "ld-id\":137},{\"name\":\"lower_bounds\",\"type\":[\"null\",{\"type\":\"array\",\"items\":{\"type"
    "\":\"record\",\"name\":\"k126_v127\",\"fields\":[{\"name\":\"key\",\"type\":\"int\",\"field-id\""
    ":126},{\"name\":\"value\",\"type\":\"bytes\",\"field-id\":127}]},\"logicalType\":\"map\"}],\"def"
    "ault\":null,\"field-id\":125},{\"name\":\"upper_bounds\",\"type\":[\"null\",{\"type\":\"array\","
    "\"items\":{\"type\":\"record\",\"name\":\"k129_v130\",\"fields\":[{\"name\":\"key\",\"type\":\"i"
    "nt\",\"field-id\":129},{\"name\":\"value\",\"type\":\"bytes\",\"field-id\":130}]},\"logicalType"
    "\":\"map\"}],\"default\":null,\"field-id\":128},{\"name\":\"key_metadata\",\"type\":[\"null\",\""
    "bytes\"],\"default\":null,\"field-id\":131},{\"name\":\"split_offsets\",\"type\":[\"null\",{\"ty"
    "pe\":\"array\",\"items\":\"long\",\"element-id\":133}],\"default\":null,\"field-id\":132},{\"nam"
    "e\":\"equality_ids\",\"type\":[\"null\",{\"type\":\"array\",\"items\":\"int\",\"element-id\":136"
    "}],\"default\":null,\"field-id\":135},{\"name\":\"sort_order_id\",\"type\":[\"null\",\"int\"],\""
    "default\":null,\"field-id\":140},{\"name\":\"referenced_data_file\",\"type\":[\"null\",\"string"
    "\"],\"default\":null,\"field-id\":143}]},\"field-id\":2}]}";
