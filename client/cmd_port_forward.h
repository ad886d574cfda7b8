/* cmd_port_forward: tributary port-forward. */
#ifndef CLIENT_CMD_PORT_FORWARD_H
#define CLIENT_CMD_PORT_FORWARD_H

int cli_cmd_port_forward(int argc, char **argv);

#endif
