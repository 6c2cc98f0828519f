#pragma once
#include <Zydis/Zydis.h>
