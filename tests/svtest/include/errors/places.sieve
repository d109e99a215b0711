require "include";
include :personal :global "step";
