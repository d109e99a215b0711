require "ihave";

fileinto "x";
