/* cmd_ls: tributary ls. */
#ifndef CLIENT_CMD_LS_H
#define CLIENT_CMD_LS_H

int cli_cmd_ls(int argc, char **argv);

#endif
