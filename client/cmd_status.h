/* cmd_status: tributary status. */
#ifndef CLIENT_CMD_STATUS_H
#define CLIENT_CMD_STATUS_H

int cli_cmd_status(int argc, char **argv);

#endif
