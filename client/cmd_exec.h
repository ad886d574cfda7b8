/* cmd_exec: tributary exec. */
#ifndef CLIENT_CMD_EXEC_H
#define CLIENT_CMD_EXEC_H

int cli_cmd_exec(int argc, char **argv);

#endif
