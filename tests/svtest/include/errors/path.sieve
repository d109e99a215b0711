require "include";
include "../errors/missing";
