#!/bin/bash
# A static program that is stripped of all symbols, and starts itself anew for each of its commands.
set -e
busybox sh -c 'busybox echo static; busybox ls / | busybox wc -l'
