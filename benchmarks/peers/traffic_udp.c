/* SPDX-License-Identifier: Apache-2.0 */
/* As many small datagrams as one process can send by send(2), counted by one process with recv(2). The receiver polls:
 * else each packet would pay for waking it up as well, which costs as much as carrying it.
 *
 *   traffic_udp receive PORT SECONDS        prints "ready", then datagrams per second, of SECONDS that begin WARM_UP
 *                                           after the first one
 *   traffic_udp send ADDRESS PORT BYTES     sends until it is ended
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#define WARM_UP 0.1 /* s */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int receive(const char *port, double seconds)
{
	struct sockaddr_in self = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	struct timeval patience = {.tv_sec = 5};
	int socket_ = socket(AF_INET, SOCK_DGRAM, 0);
	double begin, end, time;
	uint64_t count = 0;
	char buffer[2048];

	if (socket_ < 0 || setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    bind(socket_, (struct sockaddr *)&self, sizeof(self))) {
		perror("receive");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	if (recv(socket_, buffer, sizeof(buffer), 0) < 0) {
		perror("no datagram came");
		return 1;
	}
	begin = now() + WARM_UP;
	end = begin + seconds;
	do {
		int got = recv(socket_, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0;

		time = now();
		count += got && time >= begin;
	} while (time < end);
	printf("%.0f\n", (double)count / (time - begin));
	return 0;
}

static int send_forever(const char *address, const char *port, size_t bytes)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int socket_ = socket(AF_INET, SOCK_DGRAM, 0);
	char buffer[2048] = {0};

	if (socket_ < 0 || bytes > sizeof(buffer) || !inet_aton(address, &to.sin_addr) ||
	    connect(socket_, (struct sockaddr *)&to, sizeof(to))) {
		perror("send");
		return 1;
	}
	for (;;)
		send(socket_, buffer, bytes, 0); /* what a full queue refuses is not counted at the other end */
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "receive"))
		return receive(argv[2], atof(argv[3]));
	if (argc == 5 && !strcmp(argv[1], "send"))
		return send_forever(argv[2], argv[3], (size_t)atoi(argv[4]));
	fprintf(stderr, "usage: %s receive PORT SECONDS | send ADDRESS PORT BYTES\n", argv[0]);
	return 2;
}
