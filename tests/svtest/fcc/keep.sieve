require "fcc";
keep :fcc "Sent";
