/*
 * connectors: the connector runtime as this project needs it.
 *
 * Each JSON file of the folder connectors is put at each start, as PUT /connectors/NAME/config would: {"name":...,"config":{...}} as
 * Kafka Connect's POST takes it, or the bare config with the file's name as the connector's. ${NAME} is replaced by the environment, .env
 * included. A file that is not acceptable stops the start and is named.
 *
 * aliases of tarn.yaml are host names that mean this process: a connector that names one of them with the port that the
 * service has by default is led to where that service really listens. So the connector files of a Compose project
 * run as they are.
 */
#pragma once

#include "base/err.h"

struct app;

/* The runtime and what was running before; the doors it points connectors at are up. */
bool connectors_start(struct app *app, struct err *e) MUST_CHECK;
/* Puts the files of the project folder. */
bool connectors_apply(struct app *app, struct err *e) MUST_CHECK;
void connectors_stop(struct app *app);
