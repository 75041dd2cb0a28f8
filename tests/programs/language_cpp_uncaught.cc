// An exception that nobody catches ends a C++ program by SIGABRT.
#include <iostream>
#include <stdexcept>

int main()
{
    std::cout << "before" << std::endl;
    throw std::runtime_error("nobody catches this");
}
