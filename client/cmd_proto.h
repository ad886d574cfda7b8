/* cmd_proto: `tributary proto`, the codec on the command line. */
#ifndef CLIENT_CMD_PROTO_H
#define CLIENT_CMD_PROTO_H

/*
 * `proto decode|encode --client|--daemon`: lines of hex on stdin become lines
 * of JSON on stdout, or the reverse. A line that is no message becomes
 * {"error": "...", "offset": n}. Returns the exit code: 0, 2 for wrong usage,
 * 1 when stdin or stdout fails.
 */
int cli_cmd_proto(int argc, char **argv);

#endif
