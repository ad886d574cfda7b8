/* cmd_session: tributary session. */
#ifndef CLIENT_CMD_SESSION_H
#define CLIENT_CMD_SESSION_H

int cli_cmd_session(int argc, char **argv);

#endif
