/* SPDX-License-Identifier: Apache-2.0 */
/* Round-trip times of ICMP echo requests (RFC 792), one at a time: the other end is answered by its kernel, so no
 * process has to wake up there.
 *
 *   traffic_echo ADDRESS COUNT      prints minimum and median in nanoseconds
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct echo {
	struct icmphdr header;
	uint8_t payload[56]; /* 64 bytes of ICMP, as ping(8) sends */
};

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static uint16_t checksum(const void *data, size_t length)
{
	const uint16_t *word = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < length / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static int ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Waits for the reply with this sequence number; -1 when none comes. */
static int await_reply(int socket, uint16_t id, uint16_t sequence)
{
	uint8_t packet[256];
	ssize_t length;

	while ((length = recv(socket, packet, sizeof(packet), 0)) > 0) {
		size_t offset = (packet[0] & 0xf) * 4;
		struct icmphdr header;

		if ((size_t)length < offset + sizeof(header))
			continue;
		memcpy(&header, packet + offset, sizeof(header));
		if (header.type == ICMP_ECHOREPLY && header.un.echo.id == id && header.un.echo.sequence == sequence)
			return 0;
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct timeval patience = {.tv_sec = 2};
	int count = argc == 3 ? atoi(argv[2]) : 0;
	uint16_t id = (uint16_t)getpid();
	int64_t *times;
	int socket_;

	if (count < 1 || !inet_aton(argv[1], &to.sin_addr)) {
		fprintf(stderr, "usage: %s ADDRESS COUNT\n", argv[0]);
		return 2;
	}
	times = calloc((size_t)count, sizeof(*times));
	socket_ = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (!times || socket_ < 0 || setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(socket_, (struct sockaddr *)&to, sizeof(to))) {
		perror("raw socket");
		return 1;
	}
	for (int i = 0; i < count; i++) {
		struct echo request = {.header.type = ICMP_ECHO};
		int64_t start;

		request.header.un.echo.id = id;
		request.header.un.echo.sequence = (uint16_t)i;
		request.header.checksum = checksum(&request, sizeof(request));
		start = now();
		if (send(socket_, &request, sizeof(request), 0) < 0 || await_reply(socket_, id, (uint16_t)i)) {
			fprintf(stderr, "no reply from %s to request %d of %d\n", argv[1], i + 1, count);
			return 1;
		}
		times[i] = now() - start;
	}
	qsort(times, (size_t)count, sizeof(*times), ascending);
	printf("%lld %lld\n", (long long)times[0], (long long)times[count / 2]);
	return 0;
}
