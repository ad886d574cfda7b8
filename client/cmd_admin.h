/*
 * cmd_admin: what an administrator does on the daemon's host. Each returns
 * the exit code (enum cli_exit).
 */
#ifndef CLIENT_CMD_ADMIN_H
#define CLIENT_CMD_ADMIN_H

/* A fresh key and a login certificate for a user, as a kubeconfig. */
int cli_cmd_kubeconfig(int argc, char **argv);
/* A bearer token for a user, printed once. */
int cli_cmd_token(int argc, char **argv);
/* Ends certificates and tokens; --list shows them. */
int cli_cmd_revoke(int argc, char **argv);
/* Reads a tributaryd.yaml and tells what is wrong with it. */
int cli_cmd_check_config(int argc, char **argv);

#endif
